//! Which message of a conversation each piece of its rendering comes from.
//!
//! Chat templates write messages in loops. While the body of a loop runs for a message, what is written belongs to that
//! message; a loop over messages inside of it (results that are written with their call) goes first. Nothing is changed
//! and nothing is searched for, so that one rendering is enough, however many turns there are.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::jinja::{Observer, Value};

/// A piece of rendered text that was written for one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Index in `messages`.
    pub message: usize,
    /// The loop that wrote it, by its place in the template.
    pub loop_id: usize,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset after its last character.
    pub end: usize,
}

/// Follows a rendering.
pub(crate) struct Follower {
    /// Index of each message by the place of its value.
    messages: HashMap<usize, usize>,
    trace: RefCell<Trace>,
}

impl Follower {
    /// For a rendering of these messages.
    pub fn new(messages: &[Value]) -> Self {
        let places = messages.iter().enumerate().filter_map(|(index, message)| Some((message.place()?, index)));
        Self { messages: places.collect(), trace: RefCell::default() }
    }

    /// What was written for messages, in the order of the text, and where each stretch of text begins that was written at once.
    pub fn into_pieces(self) -> (Vec<Piece>, Vec<usize>) {
        let trace = self.trace.into_inner();
        (trace.pieces, trace.writes)
    }

    fn message(&self, value: &Value) -> Option<usize> {
        self.messages.get(&value.place()?).copied()
    }
}

impl Observer for Follower {
    fn enter(&self, loop_id: usize, item: &Value) {
        let counts = matches!(item, Value::Int(_));
        self.trace.borrow_mut().enter(Running { loop_id, message: self.message(item), counts });
    }

    fn assigned(&self, value: &Value) {
        if let Some(message) = self.message(value) {
            self.trace.borrow_mut().adopt(message);
        }
    }

    fn leave(&self, loop_id: usize) {
        self.trace.borrow_mut().leave(loop_id);
    }

    fn wrote(&self, start: usize, end: usize) {
        self.trace.borrow_mut().wrote(start, end);
    }
}

/// A loop whose body runs.
#[derive(Debug, Clone, Copy)]
struct Running {
    loop_id: usize,
    /// The message it runs for.
    message: Option<usize>,
    /// Whether it goes over numbers.
    counts: bool,
}

/// Which loops run, and what was written so far.
#[derive(Debug, Default)]
struct Trace {
    /// The innermost last.
    open: Vec<Running>,
    pieces: Vec<Piece>,
    writes: Vec<usize>,
}

impl Trace {
    fn enter(&mut self, running: Running) {
        match self.open.last_mut() {
            Some(last) if last.loop_id == running.loop_id => *last = running,
            _ => self.open.push(running),
        }
    }

    /// A loop that runs for no message, as over indices, runs for the first message that it takes; inside of another message's
    /// only where it counts, as over the results of a call.
    fn adopt(&mut self, message: usize) {
        let is_outside = self.open.iter().all(|running| running.message.is_none());
        if let Some(last) = self.open.last_mut()
            && last.message.is_none()
            && (is_outside || last.counts)
        {
            last.message = Some(message);
        }
    }

    fn leave(&mut self, loop_id: usize) {
        if let Some(at) = self.open.iter().rposition(|running| running.loop_id == loop_id) {
            self.open.truncate(at);
        }
    }

    fn wrote(&mut self, start: usize, end: usize) {
        self.writes.push(start);
        let owner = self.open.iter().rev().find_map(|running| Some((running.loop_id, running.message?)));
        let Some((loop_id, message)) = owner.filter(|_| start < end) else { return };
        match self.pieces.last_mut() {
            Some(last) if last.end == start && (last.message, last.loop_id) == (message, loop_id) => last.end = end,
            _ => self.pieces.push(Piece { message, loop_id, start, end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Running, Trace};

    fn over(loop_id: usize, message: Option<usize>) -> Running {
        Running { loop_id, message, counts: false }
    }

    #[test]
    fn the_innermost_loop_over_messages_owns_what_is_written() {
        let mut trace = Trace::default();
        trace.wrote(0, 3);
        trace.enter(over(1, Some(0)));
        trace.wrote(3, 5);
        trace.wrote(5, 6);
        trace.enter(over(1, Some(1)));
        trace.wrote(6, 7);
        trace.enter(over(2, Some(4)));
        trace.wrote(7, 8);
        trace.leave(2);
        trace.enter(over(3, None));
        trace.wrote(8, 9);
        trace.leave(1);
        trace.wrote(9, 10);
        let piece = |message, loop_id, start, end| Piece { message, loop_id, start, end };
        let expected = [piece(0, 1, 3, 6), piece(1, 1, 6, 7), piece(4, 2, 7, 8), piece(1, 1, 8, 9)];
        assert_eq!(trace.pieces, expected);
    }

    #[test]
    fn a_loop_over_indices_runs_for_the_message_it_takes() {
        let mut trace = Trace::default();
        trace.adopt(7);
        trace.enter(over(1, None));
        trace.adopt(2);
        trace.adopt(5);
        trace.wrote(0, 1);
        trace.enter(over(1, None));
        trace.wrote(1, 2);
        assert_eq!(trace.pieces, [Piece { message: 2, loop_id: 1, start: 0, end: 1 }]);
    }

    #[test]
    fn a_count_inside_of_a_message_runs_for_the_message_it_takes() {
        let mut trace = Trace::default();
        trace.enter(over(1, Some(0)));
        trace.enter(over(2, None));
        trace.adopt(3);
        trace.wrote(0, 1);
        trace.leave(2);
        trace.enter(Running { counts: true, ..over(3, None) });
        trace.adopt(4);
        trace.adopt(5);
        trace.enter(over(4, None));
        trace.wrote(1, 2);
        trace.leave(3);
        trace.wrote(2, 3);
        let owners: Vec<usize> = trace.pieces.iter().map(|piece| piece.message).collect();
        assert_eq!(owners, [0, 4, 0]);
    }

    #[test]
    fn a_loop_that_was_left_early_does_not_keep_what_follows() {
        let mut trace = Trace::default();
        trace.enter(over(1, Some(0)));
        trace.enter(over(2, Some(3)));
        trace.leave(1);
        trace.wrote(0, 1);
        assert!(trace.pieces.is_empty());
    }
}
