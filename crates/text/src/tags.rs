//! Tags that a template writes around reasoning, be there any or not.

use crate::ends::before;
use crate::template::Rendered;
use crate::turn_text::TurnText;

/// The range of a turn's reasoning, with the pair of tags around it (`<NAME>` and `</NAME>`, or in square brackets) and the white
/// space that the template writes with the closing one, where there is such a pair. `space` is white space that the content
/// begins with, which is the content's. The opening tag may stand in front of the turn, in its header.
pub(crate) fn with_tags(turn: &TurnText, range: (usize, usize), rendered: &Rendered, space: &str) -> (usize, usize) {
    around(turn, range, rendered, space).unwrap_or(range)
}

fn around(turn: &TurnText, range: (usize, usize), rendered: &Rendered, space: &str) -> Option<(usize, usize)> {
    let mut places = turn.places(range);
    // Reasoning in several pieces is left as it is.
    let (start, end) = places.next().filter(|_| places.next().is_none())?;
    let (first, last) = turn.span_at(start)?;
    let text = &rendered.text;
    let after = text.get(end..last)?.trim_start();
    let (name, rest) = closing_tag(after)?;
    let opening = text.get(..start)?.trim_end().strip_suffix(name)?.strip_suffix(before(after, after.get(1..)?))?;
    let closed = last.saturating_sub(rest.len());
    let white = before(rest, rest.trim_start());
    let white = closed.saturating_add(white.strip_suffix(space).unwrap_or(white).len());
    let next_write = rendered.writes.iter().copied().find(|at| *at >= closed);
    turn.inside((opening.len().max(first), next_write.map_or(white, |at| at.min(white))))
}

/// The range of `text` in whose place `less` has an empty pair of tags, or the end of one that the header opens: the given one,
/// or with as much of the white space after it as `less` lacks.
pub(crate) fn emptied(text: &str, (start, end): (usize, usize), less: &str) -> Option<(usize, usize)> {
    let (head, tail) = (text.get(..start)?, text.get(end..)?);
    let instead = less.strip_prefix(head)?;
    let mut rests = std::iter::successors(Some(tail), |rest| rest.strip_prefix(char::is_whitespace));
    let rest = rests.find(|rest| instead.strip_suffix(rest).is_some_and(is_empty_pair))?;
    Some((start, text.len().saturating_sub(rest.len())))
}

fn is_empty_pair(text: &str) -> bool {
    let pair: String = text.split_whitespace().collect();
    let closing = pair.find("</").or_else(|| pair.find("[/")).and_then(|at| pair.split_at_checked(at));
    closing.is_some_and(|(opening, closing)| {
        let ends = closing_tag(closing).is_some_and(|(_, rest)| rest.is_empty());
        ends && (opening.is_empty() || opening == closing.replacen('/', "", 1))
    })
}

/// The end of the tag that a text begins with, from its name on, and what follows it.
fn closing_tag(text: &str) -> Option<(&str, &str)> {
    let (inside, close) =
        [("</", '>'), ("[/", ']')].into_iter().find_map(|(open, close)| Some((text.strip_prefix(open)?, close)))?;
    let at = inside.find(close).filter(|at| *at > 0)?;
    inside.split_at_checked(at.saturating_add(close.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::{emptied, with_tags};
    use crate::template::Rendered;
    use crate::turn_span::TurnSpan;
    use crate::turn_text::TurnText;

    /// What the part between `|` becomes in a turn that begins at `^`; `;` stands where another write begins.
    fn grown(text: &str, space: &str) -> String {
        let (header, turn) = text.split_once('^').unwrap();
        let pieces: Vec<&str> = turn.split('|').collect();
        let written = format!("{header}{}", pieces.concat());
        let text = written.replace(';', "");
        let rendered = Rendered { writes: written.find(';').into_iter().collect(), text, ..Rendered::default() };
        let span = TurnSpan { message: 0, start: header.len(), end: rendered.text.len() };
        let turn = TurnText::of(&[span], &rendered.text).remove(0);
        let start = pieces[0].len();
        let (start, end) = with_tags(&turn, (start, start + pieces[1].len()), &rendered, space);
        turn.text[start..end].to_owned()
    }

    #[test]
    fn an_empty_pair_may_stand_for_a_full_one() {
        let range = (1, 11);
        for less in ["h<t></t>a", "h<t>\n\n</t>\na", "h</t>a", "h\n</think>\n\na", "h[T][/T]a"] {
            assert_eq!(emptied("h<t>\nx\n</t>a", range, less), Some(range), "{less}");
        }
        assert_eq!(emptied("h<t>\nx\n</t>\n\na", range, "h<t></t>a"), Some((1, 13)));
        assert_eq!(emptied("h<t>\nx\n</t>\n a", range, "h<t></t> a"), Some((1, 12)));
        for less in ["ha", "h<t>x</t>a", "h<t></u>a", "h<t></t>b", "<t></t>a", "h<t>a", "h</t></t>a", "h</>a"] {
            assert_eq!(emptied("h<t>\nx\n</t>a", range, less), None, "{less}");
        }
    }

    #[test]
    fn a_pair_of_tags_goes_with_what_is_between() {
        assert_eq!(grown("h^<think>\n|x|\n</think>\n\na", ""), "<think>\nx\n</think>\n\n");
        assert_eq!(grown("h^<think>\n|x|\n</think>\n\n  a", "  "), "<think>\nx\n</think>\n\n");
        assert_eq!(grown("h^<think>|x|</think>\n;\na", ""), "<think>x</think>\n");
        assert_eq!(grown("h<think>^|x|</think>a", ""), "x</think>");
        assert_eq!(grown("h<thi^nk>|x|</think>a", ""), "nk>x</think>");
        assert_eq!(grown("^[THINK]|x|[/THINK]a", ""), "[THINK]x[/THINK]");
        for alone in ["^<a>|x|</b>", "^<a|x|</a>", "^a>|x|</a>", "^|<t>x</t>|a", "^<>|x|</>", "^<t>|x|</t"] {
            assert_eq!(grown(alone, ""), alone.split('|').nth(1).unwrap(), "{alone}");
        }
    }
}
