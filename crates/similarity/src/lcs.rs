//! The length of the longest common subsequence, 64 places at a time (Hyyrö 2004).

use std::iter;

/// Places of a block.
const BLOCK: usize = u64::BITS as usize;

/// A sequence, prepared to be compared with many others. Its items are numbers below a limit.
#[derive(Default)]
pub struct Pattern {
    /// By item: 1 + the place of its masks, 0 for items that the pattern lacks. As long as the largest limit so far.
    slots: Vec<u32>,
    /// Per distinct item one mask a block: where it stands in the pattern.
    masks: Vec<u64>,
    items: Vec<u32>,
    blocks: usize,
    column: Vec<u64>,
}

impl Pattern {
    /// Takes another sequence, whose items below `limit` can be met in others.
    pub fn set(&mut self, sequence: impl ExactSizeIterator<Item = Option<u32>>, limit: usize) {
        for item in self.items.drain(..) {
            if let Some(slot) = self.slots.get_mut(item as usize) {
                *slot = 0;
            }
        }
        self.masks.clear();
        if self.slots.len() < limit {
            self.slots.resize(limit, 0);
        }
        self.blocks = sequence.len().div_ceil(BLOCK);
        for (place, item) in sequence.enumerate() {
            let Some(item) = item else { continue };
            self.mark(item, place);
        }
    }

    fn mark(&mut self, item: u32, place: usize) {
        let Some(slot) = self.slots.get_mut(item as usize) else { return };
        if *slot == 0 {
            self.items.push(item);
            *slot = self.items.len() as u32;
            self.masks.extend(iter::repeat_n(0, self.blocks));
        }
        let first = (*slot as usize).saturating_sub(1).saturating_mul(self.blocks);
        let block = first.saturating_add(place.checked_div(BLOCK).unwrap_or(0));
        if let Some(mask) = self.masks.get_mut(block) {
            *mask |= 1 << (place & BLOCK.wrapping_sub(1));
        }
    }

    /// Length of the longest subsequence that the pattern and another sequence share.
    pub fn lcs(&mut self, other: &[u32]) -> u32 {
        if let [_] = self.masks_per_item() {
            return self.lcs_of_one_block(other);
        }
        self.column.clear();
        self.column.resize(self.blocks, u64::MAX);
        for item in other {
            let Some(masks) = masks(&self.slots, &self.masks, self.blocks, *item) else { continue };
            let mut carry = false;
            for (row, mask) in self.column.iter_mut().zip(masks) {
                let met = *row & mask;
                let (sum, first) = row.overflowing_add(met);
                let (sum, second) = sum.overflowing_add(u64::from(carry));
                carry = first || second;
                *row = sum | (*row & !met);
            }
        }
        self.column.iter().map(|row| row.count_zeros()).fold(0, u32::saturating_add)
    }

    /// A slice as long as the masks of one item.
    fn masks_per_item(&self) -> &[u64] {
        self.masks.get(..self.blocks).unwrap_or_default()
    }

    fn lcs_of_one_block(&self, other: &[u32]) -> u32 {
        let mut row = u64::MAX;
        for item in other {
            if let Some([mask]) = masks(&self.slots, &self.masks, 1, *item) {
                let met = row & mask;
                row = row.wrapping_add(met) | (row & !met);
            }
        }
        row.count_zeros()
    }
}

/// The masks of an item; none where the pattern lacks it.
fn masks<'a>(slots: &[u32], masks: &'a [u64], blocks: usize, item: u32) -> Option<&'a [u64]> {
    let slot = (*slots.get(item as usize)? as usize).checked_sub(1)?;
    let from = slot.checked_mul(blocks)?;
    masks.get(from..from.checked_add(blocks)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(a: &[u32], b: &[u32]) -> u32 {
        let mut row = vec![0_u32; b.len() + 1];
        for x in a {
            let mut before = 0;
            for (n, y) in b.iter().enumerate() {
                let above = row[n + 1];
                row[n + 1] = if x == y { before + 1 } else { above.max(row[n]) };
                before = above;
            }
        }
        row[b.len()]
    }

    #[test]
    fn equals_the_table_at_every_length_around_a_block() {
        let mut state = 7_u64;
        let mut pattern = Pattern::default();
        for length in [0, 1, 2, 31, 63, 64, 65, 127, 128, 129, 200] {
            for other in [0, 1, 5, 64, 100, 300] {
                for letters in [2, 5, 40] {
                    let mut draw = |count: usize| -> Vec<u32> {
                        let next = || {
                            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            (state >> 33) as u32 % letters
                        };
                        iter::repeat_with(next).take(count).collect()
                    };
                    let (a, b) = (draw(length), draw(other));
                    pattern.set(a.iter().map(|item| Some(*item)), 40);
                    assert_eq!(pattern.lcs(&b), table(&a, &b), "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn unknown_items_take_a_place_and_match_nothing() {
        let mut pattern = Pattern::default();
        pattern.set([Some(1), None, Some(9), Some(2)].into_iter(), 5);
        assert_eq!(pattern.lcs(&[1, 9, 2, 77]), 2);
        pattern.set([None].into_iter(), 5);
        assert_eq!(pattern.lcs(&[1, 2]), 0);
    }
}
