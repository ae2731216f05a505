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
        self.trace.borrow_mut().enter(loop_id, self.message(item));
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

/// Which loops run, and what was written so far.
#[derive(Debug, Default)]
struct Trace {
    /// Loops whose body runs, the innermost last, with the message it runs for.
    open: Vec<(usize, Option<usize>)>,
    pieces: Vec<Piece>,
    writes: Vec<usize>,
}

impl Trace {
    fn enter(&mut self, loop_id: usize, message: Option<usize>) {
        match self.open.last_mut() {
            Some(last) if last.0 == loop_id => last.1 = message,
            _ => self.open.push((loop_id, message)),
        }
    }

    /// A loop that runs for no message, as over indices, runs for the first message that it takes.
    fn adopt(&mut self, message: usize) {
        if self.open.iter().all(|(_, owner)| owner.is_none())
            && let Some(last) = self.open.last_mut()
        {
            last.1 = Some(message);
        }
    }

    fn leave(&mut self, loop_id: usize) {
        if let Some(at) = self.open.iter().rposition(|&(open, _)| open == loop_id) {
            self.open.truncate(at);
        }
    }

    fn wrote(&mut self, start: usize, end: usize) {
        self.writes.push(start);
        let owner = self.open.iter().rev().find_map(|&(loop_id, message)| Some((loop_id, message?)));
        let Some((loop_id, message)) = owner.filter(|_| start < end) else { return };
        match self.pieces.last_mut() {
            Some(last) if last.end == start && (last.message, last.loop_id) == (message, loop_id) => last.end = end,
            _ => self.pieces.push(Piece { message, loop_id, start, end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Trace};

    #[test]
    fn the_innermost_loop_over_messages_owns_what_is_written() {
        let mut trace = Trace::default();
        trace.wrote(0, 3);
        trace.enter(1, Some(0));
        trace.wrote(3, 5);
        trace.wrote(5, 6);
        trace.enter(1, Some(1));
        trace.wrote(6, 7);
        trace.enter(2, Some(4));
        trace.wrote(7, 8);
        trace.leave(2);
        trace.enter(3, None);
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
        trace.enter(1, None);
        trace.adopt(2);
        trace.adopt(5);
        trace.wrote(0, 1);
        trace.enter(1, None);
        trace.wrote(1, 2);
        assert_eq!(trace.pieces, [Piece { message: 2, loop_id: 1, start: 0, end: 1 }]);
    }

    #[test]
    fn a_loop_that_was_left_early_does_not_keep_what_follows() {
        let mut trace = Trace::default();
        trace.enter(1, Some(0));
        trace.enter(2, Some(3));
        trace.leave(1);
        trace.wrote(0, 1);
        assert!(trace.pieces.is_empty());
    }
}
