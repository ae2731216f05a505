//! Where one text has more than another.

/// What a range that is looked for holds and touches: byte ranges and offsets of the longer text.
#[derive(Default)]
pub(crate) struct Known {
    /// What is in the range.
    pub inside: Vec<(usize, usize)>,
    /// What is out of it.
    pub outside: Vec<(usize, usize)>,
    /// Where it rather begins and ends; ascending.
    pub edges: Vec<usize>,
}

impl Known {
    /// Adds places where the range rather begins and ends.
    pub fn add_edges(&mut self, edges: impl Iterator<Item = usize>) {
        self.edges.extend(edges);
        self.edges.sort_unstable();
    }
}

/// The range of `full` without which it is `less`: empty where both are equal, none where more than one range differs.
///
/// Often several ranges do: of `a.b.` and `a.` both `b.` and `.b`. Of those that fit to what is known the one counts that
/// begins and ends at most edges, and comes first.
pub(crate) fn insertion(full: &str, less: &str, known: &Known) -> Option<(usize, usize)> {
    if full == less {
        return known.inside.is_empty().then_some((0, 0));
    }
    let added = full.len().checked_sub(less.len())?;
    let last = common(full.chars(), less.chars());
    let first = less.len().saturating_sub(common_end(full, less));
    let ranges = (first..=last).map(|start| (start, start.saturating_add(added)));
    let is_whole = |&(start, end): &(usize, usize)| full.is_char_boundary(start) && full.is_char_boundary(end);
    let fits = |&(start, end): &(usize, usize)| {
        let is_in = |&(from, to): &(usize, usize)| start <= from && to <= end;
        let is_out = |&(from, to): &(usize, usize)| to <= start || end <= from;
        known.inside.iter().all(is_in) && known.outside.iter().all(is_out)
    };
    let edge = |at: usize| u8::from(known.edges.binary_search(&at).is_ok());
    let score = |&(start, end): &(usize, usize)| edge(start).saturating_add(edge(end));
    // Of equal ones `max_by_key` gives the last.
    ranges.rev().filter(is_whole).filter(fits).max_by_key(score)
}

/// Length in bytes of what two texts begin with alike, in whole characters.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// Length in bytes of what both texts end with, in whole characters.
pub(crate) fn common_end(a: &str, b: &str) -> usize {
    common(a.chars().rev(), b.chars().rev())
}

#[cfg(test)]
mod tests {
    use super::{Known, insertion};

    fn added<'a>(full: &'a str, less: &str, known: Known) -> Option<&'a str> {
        insertion(full, less, &known).map(|(start, end)| &full[start..end])
    }

    #[test]
    fn one_range_is_found_and_two_are_none() {
        for (full, less, range) in [
            ("a<b>c", "ac", Some("<b>")),
            ("aéc", "ac", Some("é")),
            ("abc", "abc", Some("")),
            ("aXbYc", "abc", None),
            ("ac", "abc", None),
            ("aXc", "aYc", None),
            // Characters of several bytes that share their first byte.
            ("éèé", "é", Some("éè")),
        ] {
            assert_eq!(added(full, less, Known::default()), range, "{full} {less}");
        }
    }

    #[test]
    fn of_several_ranges_the_one_that_fits_counts() {
        let (of, known) = (|full, less, known| added(full, less, known), Known::default);
        assert_eq!(of("a.b.", "a.", known()), Some(".b"));
        assert_eq!(of("a.b.", "a.", Known { outside: vec![(0, 2)], ..known() }), Some("b."));
        assert_eq!(of("a.b.", "a.", Known { inside: vec![(3, 4)], ..known() }), Some("b."));
        assert_eq!(of("a.b.", "a.", Known { inside: vec![(0, 1)], ..known() }), None);
        assert_eq!(of("abc", "abc", Known { inside: vec![(1, 2)], ..known() }), None);
        assert_eq!(of("<a><b><|e", "<a><|e", Known { edges: vec![3, 6], ..known() }), Some("<b>"));
        assert_eq!(of("<b><|e", "<|e", known()), Some("<b>"));
    }
}
