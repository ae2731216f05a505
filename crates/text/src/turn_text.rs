//! What is written of a turn as one text, and where in the rendering it stands.

use crate::turn_span::TurnSpan;

/// A turn of the assistant in a rendering.
pub(crate) struct TurnText {
    /// Index in `messages`.
    pub message: usize,
    /// Its spans, end to end.
    pub text: String,
    /// Byte offsets of the spans in the rendering.
    spans: Vec<(usize, usize)>,
}

impl TurnText {
    /// The turns that `spans` of `rendered` are of, each once, in the order of their first spans.
    pub fn of(spans: &[TurnSpan], rendered: &str) -> Vec<Self> {
        let mut turns: Vec<Self> = Vec::new();
        for &TurnSpan { message, start, end } in spans {
            let written = rendered.get(start..end).unwrap_or_default();
            match turns.iter_mut().rfind(|turn| turn.message == message) {
                Some(turn) => {
                    turn.text.push_str(written);
                    turn.spans.push((start, end));
                }
                None => turns.push(Self { message, text: written.to_owned(), spans: vec![(start, end)] }),
            }
        }
        turns
    }

    /// What of a range of the rendering is in the turn: byte offsets in its text. None where all of it stands elsewhere.
    pub fn inside(&self, (from, to): (usize, usize)) -> Option<(usize, usize)> {
        let mut before = 0_usize;
        let mut found: Option<(usize, usize)> = None;
        for &(start, end) in &self.spans {
            if from < end && to > start {
                let place = |at: usize| before.saturating_add(at.clamp(start, end).saturating_sub(start));
                found = Some((found.map_or(place(from), |(first, _)| first), place(to)));
            }
            before = before.saturating_add(end.saturating_sub(start));
        }
        found
    }

    /// Where an offset of the rendering is in its text; none where it is not in the turn.
    pub fn offset(&self, at: usize) -> Option<usize> {
        let mut before = 0_usize;
        for &(start, end) in &self.spans {
            if (start..end).contains(&at) {
                return Some(before.saturating_add(at.saturating_sub(start)));
            }
            before = before.saturating_add(end.saturating_sub(start));
        }
        None
    }

    /// Where a range of its text stands in the rendering: a range for each span that it is in.
    pub fn places(&self, (from, to): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
        let mut before = 0_usize;
        let ranges = self.spans.iter().map(move |&(start, end)| {
            let place = |at: usize| start.saturating_add(at.saturating_sub(before)).min(end);
            let range = (place(from), place(to));
            before = before.saturating_add(end.saturating_sub(start));
            range
        });
        ranges.filter(|(start, end)| start < end)
    }

    /// The span that holds an offset of the rendering.
    pub fn span_at(&self, at: usize) -> Option<(usize, usize)> {
        self.spans.iter().copied().find(|(start, end)| (*start..=*end).contains(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::TurnText;
    use crate::turn_span::TurnSpan;

    #[test]
    fn ranges_are_found_in_the_turn_and_back() {
        let span = |message, start, end| TurnSpan { message, start, end };
        let turns = TurnText::of(&[span(1, 2, 4), span(3, 5, 6), span(1, 8, 10)], "0123456789");
        let [turn, other] = turns.as_slice() else { panic!("{} turns", turns.len()) };
        assert_eq!((turn.text.as_str(), other.text.as_str()), ("2389", "5"));
        assert_eq!(
            [(2, 3), (3, 9), (0, 20), (5, 7)].map(|range| turn.inside(range)),
            [Some((0, 1)), Some((1, 3)), Some((0, 4)), None]
        );
        let places = |range| turn.places(range).collect::<Vec<_>>();
        assert_eq!(places((0, 1)), [(2, 3)]);
        assert_eq!(places((1, 3)), [(3, 4), (8, 9)]);
        assert_eq!(turn.span_at(9), Some((8, 10)));
    }
}
