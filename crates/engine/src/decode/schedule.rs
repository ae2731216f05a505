//! Which sample of which prompt is written in which slot: prompts in order, the samples of one after the other, a slot taken again as
//! soon as an answer has ended.

/// A sample of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Index of the prompt.
    pub prompt: usize,
    /// Which of its samples, from 0.
    pub number: usize,
}

/// A sample that takes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub slot: usize,
    pub sample: Sample,
    /// The slot whose keys and values begin with those of the prompt, or will once the prompt has been fed there; None: this slot is
    /// the one to feed it to.
    pub source: Option<usize>,
}

/// Samples that wait, and slots.
#[derive(Debug)]
pub(super) struct Schedule {
    samples: usize,
    total: usize,
    next: usize,
    taken: Vec<bool>,
    /// Where the keys and values of the next sample's prompt are. While samples of a prompt wait no other prompt starts, so that
    /// the slot is theirs even when it has become free.
    source: Option<usize>,
}

impl Schedule {
    /// `samples` of each of `prompts` prompts, over a number of slots.
    pub(super) fn new(prompts: usize, samples: usize, slots: usize) -> Self {
        Self { samples, total: prompts * samples, next: 0, taken: vec![false; slots], source: None }
    }

    /// What would start next, where a slot is free.
    pub(super) fn upcoming(&self) -> Option<Start> {
        if self.next == self.total {
            return None;
        }
        let sample = Sample { prompt: self.next / self.samples, number: self.next % self.samples };
        let slot = self.taken.iter().position(|taken| !taken)?;
        Some(Start { slot, sample, source: if sample.number == 0 { None } else { self.source } })
    }

    /// Takes the slot of what [`Self::upcoming`] has given.
    pub(super) fn start(&mut self, start: Start) {
        self.taken[start.slot] = true;
        self.next += 1;
        if start.source.is_none() {
            self.source = Some(start.slot);
        }
    }

    /// A sample has ended.
    pub(super) fn free(&mut self, slot: usize) {
        self.taken[slot] = false;
    }

    /// What a slot begins with is no longer the prompt as others need it.
    pub(super) fn spoil(&mut self, slot: usize) {
        if self.source == Some(slot) {
            self.source = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_all(schedule: &mut Schedule) -> Vec<(usize, usize, usize, Option<usize>)> {
        let mut starts = Vec::new();
        while let Some(start) = schedule.upcoming() {
            schedule.start(start);
            starts.push((start.slot, start.sample.prompt, start.sample.number, start.source));
        }
        starts
    }

    #[test]
    fn samples_of_a_prompt_take_their_beginning_from_where_it_was_fed() {
        let mut schedule = Schedule::new(2, 3, 4);
        let first = start_all(&mut schedule);
        assert_eq!(first, [(0, 0, 0, None), (1, 0, 1, Some(0)), (2, 0, 2, Some(0)), (3, 1, 0, None)]);
        assert_eq!(schedule.upcoming(), None, "no slot is free");
        schedule.free(3);
        assert_eq!(start_all(&mut schedule), [(3, 1, 1, Some(3))], "the slot itself begins with the prompt");
        schedule.free(0);
        assert_eq!(start_all(&mut schedule), [(0, 1, 2, Some(3))]);
        schedule.free(2);
        assert_eq!(schedule.upcoming(), None, "none waits");
    }

    #[test]
    fn a_beginning_that_is_spoiled_is_fed_again() {
        let mut schedule = Schedule::new(1, 4, 2);
        assert_eq!(start_all(&mut schedule), [(0, 0, 0, None), (1, 0, 1, Some(0))]);
        schedule.spoil(1);
        schedule.free(1);
        assert_eq!(start_all(&mut schedule), [(1, 0, 2, Some(0))]);
        schedule.spoil(0);
        schedule.free(1);
        assert_eq!(start_all(&mut schedule), [(1, 0, 3, None)]);
    }

    #[test]
    fn one_slot_writes_everything_in_order() {
        let mut schedule = Schedule::new(2, 2, 1);
        for expected in [(0, 0, 0, None), (0, 0, 1, Some(0)), (0, 1, 0, None), (0, 1, 1, Some(0))] {
            assert_eq!(start_all(&mut schedule), [expected]);
            schedule.free(0);
        }
        assert_eq!(start_all(&mut schedule), []);
    }
}
