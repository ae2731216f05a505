//! Which parts of the memory taken from a driver are free: parts are cut from larger ones and joined again with their neighbours.

use std::collections::{BTreeMap, BTreeSet};

use super::driver::Address;

/// A part of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    size: usize,
    /// Where its segment begins: parts of two segments are never joined, however they lie.
    segment: Address,
    free: bool,
}

/// The segments of a pool, each cut into parts that are held or free.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// Every part, in the order of addresses.
    all: BTreeMap<Address, Span>,
    /// The free ones, the smallest first.
    free: BTreeSet<(usize, Address)>,
}

impl Spans {
    /// Adds memory from the driver, held as a whole.
    pub(super) fn add(&mut self, segment: Address, size: usize) {
        self.all.insert(segment, Span { size, segment, free: false });
    }

    /// Holds a free part of exactly this size.
    pub(super) fn take_exact(&mut self, size: usize) -> Option<Address> {
        let &(_, address) = self.free.range((size, 0)..=(size, Address::MAX)).next()?;
        self.hold(address);
        Some(address)
    }

    /// Holds `size` bytes of the smallest free part that has them, the rest staying free.
    pub(super) fn cut(&mut self, size: usize) -> Option<Address> {
        let &(found, address) = self.free.range((size, 0)..).next()?;
        self.hold(address);
        if found > size
            && let Some(span) = self.all.get_mut(&address)
        {
            span.size = size;
            let rest = Span { size: found - size, segment: span.segment, free: true };
            let place = address + size as Address;
            self.all.insert(place, rest);
            self.free.insert((rest.size, place));
        }
        Some(address)
    }

    fn hold(&mut self, address: Address) {
        if let Some(span) = self.all.get_mut(&address) {
            span.free = false;
            self.free.remove(&(span.size, address));
        }
    }

    /// Gives a held part back, joined with what is free beside it.
    pub(super) fn give_back(&mut self, address: Address) {
        let Some(&span) = self.all.get(&address).filter(|span| !span.free) else {
            return;
        };
        let (mut begin, mut size) = (address, span.size);
        let joins = |other: &Span| other.free && other.segment == span.segment;
        if let Some((&next, other)) = self.all.range(address + 1..).next().filter(|(_, other)| joins(other)) {
            size += other.size;
            self.free.remove(&(other.size, next));
            self.all.remove(&next);
        }
        if let Some((&before, other)) = self.all.range(..address).next_back().filter(|(_, other)| joins(other)) {
            size += other.size;
            self.free.remove(&(other.size, before));
            self.all.remove(&address);
            begin = before;
        }
        self.all.insert(begin, Span { size, segment: span.segment, free: true });
        self.free.insert((size, begin));
    }

    /// Takes out every segment that is free as a whole, with its size.
    pub(super) fn take_free_segments(&mut self) -> Vec<(Address, usize)> {
        let ends: BTreeMap<Address, usize> = self.all.values().fold(BTreeMap::new(), |mut parts, span| {
            *parts.entry(span.segment).or_default() += 1;
            parts
        });
        let whole = |(address, span): (&Address, &Span)| span.free && ends.get(address) == Some(&1);
        let found: Vec<_> =
            self.all.iter().filter(|&entry| whole(entry)).map(|(&address, span)| (address, span.size)).collect();
        for &(address, size) in &found {
            self.all.remove(&address);
            self.free.remove(&(size, address));
        }
        found
    }

    /// Bytes that are free.
    pub(super) fn unused(&self) -> usize {
        self.free.iter().map(|(size, _)| size).sum()
    }

    /// Bytes of the largest free part.
    pub(super) fn largest(&self) -> usize {
        self.free.last().map_or(0, |(size, _)| *size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_from_the_smallest_that_has_it_and_joined_again() {
        let mut spans = Spans::default();
        spans.add(100, 10);
        spans.add(200, 6);
        assert_eq!(spans.cut(1), None, "what was added is held");
        spans.give_back(100);
        spans.give_back(200);
        assert_eq!((spans.cut(4), spans.cut(2)), (Some(200), Some(204)));
        assert_eq!((spans.cut(3), spans.cut(3), spans.cut(5)), (Some(100), Some(103), None));
        assert_eq!((spans.unused(), spans.largest()), (4, 4));
        // Given back in an order in which the part between its neighbours is the last.
        for address in [103, 204, 100] {
            spans.give_back(address);
        }
        assert_eq!((spans.unused(), spans.largest()), (12, 10));
        assert_eq!(spans.take_free_segments(), [(100, 10)], "the other has a held part");
        spans.give_back(200);
        assert_eq!(spans.take_free_segments(), [(200, 6)]);
        assert_eq!((spans.unused(), spans.take_exact(6)), (0, None));
    }

    #[test]
    fn segments_that_touch_stay_two() {
        let mut spans = Spans::default();
        spans.add(100, 8);
        spans.add(108, 8);
        spans.give_back(108);
        spans.give_back(100);
        assert_eq!((spans.largest(), spans.cut(9)), (8, None));
        assert_eq!(spans.take_exact(8), Some(100));
        assert_eq!(spans.take_free_segments(), [(108, 8)]);
    }

    #[test]
    fn what_is_given_back_twice_is_free_once() {
        let mut spans = Spans::default();
        spans.add(100, 8);
        spans.give_back(100);
        spans.give_back(100);
        spans.give_back(50);
        assert_eq!((spans.unused(), spans.take_free_segments()), (8, vec![(100, 8)]));
    }
}
