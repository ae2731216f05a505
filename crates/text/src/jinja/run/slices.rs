//! Slices, as Python takes them.

use std::rc::Rc;

use super::super::error::{Result, refuse};
use super::super::value::{Range, Value, int_of};
use super::Run;

impl Run<'_> {
    /// `base[start:stop:step]`.
    pub(super) fn slice(&self, base: &Value, bounds: &[Option<Value>; 3]) -> Result<Value> {
        if let Some(error) = base.missing() {
            return Err(error);
        }
        let mut numbers = [None; 3];
        for (number, bound) in numbers.iter_mut().zip(bounds) {
            *number = match bound {
                None | Some(Value::None) => None,
                Some(bound) => match int_of(bound) {
                    Some(int) => Some(int),
                    None => return refuse("slice indices must be integers or None"),
                },
            };
        }
        let [start, stop, step] = numbers;
        let step = step.unwrap_or(1);
        if step == 0 {
            return refuse("slice step cannot be zero");
        }
        match base {
            Value::Text(text) => self.slice_text(text, start, stop, step).map(Value::text),
            Value::Markup(text) => Ok(Value::Markup(self.slice_text(text, start, stop, step)?.into())),
            Value::List(items) => Value::list(self.slice_items(&items.values, start, stop, step)?),
            Value::Tuple(items) => Value::tuple(self.slice_items(&items.values, start, stop, step)?),
            Value::Range(range) => {
                let (from, count) = indices(range.len(), start, stop, step);
                let at = |index: i64| range.start.wrapping_add(index.wrapping_mul(range.step));
                let step = step.wrapping_mul(range.step);
                let stop = at(from).wrapping_add(step.wrapping_mul(count as i64));
                Ok(Value::Range(Rc::new(Range { start: at(from), stop, step })))
            }
            other => refuse(format!("'{}' object is not subscriptable", other.type_name())),
        }
    }

    fn slice_text(&self, text: &str, start: Option<i64>, stop: Option<i64>, step: i64) -> Result<String> {
        self.budget.text(text.len())?;
        if text.is_ascii() {
            let (from, count) = indices(text.len(), start, stop, step);
            if step == 1 {
                let rest = usize::try_from(from).ok().and_then(|from| text.get(from..));
                return Ok(rest.and_then(|rest| rest.get(..count)).unwrap_or_default().to_owned());
            }
            return Ok(picked(text.as_bytes(), from, count, step).map(|byte| *byte as char).collect());
        }
        let letters: Vec<char> = text.chars().collect();
        self.budget.items(letters.len())?;
        let (from, count) = indices(letters.len(), start, stop, step);
        Ok(picked(&letters, from, count, step).collect())
    }

    fn slice_items(&self, items: &[Value], start: Option<i64>, stop: Option<i64>, step: i64) -> Result<Vec<Value>> {
        let (from, count) = indices(items.len(), start, stop, step);
        self.budget.items(count)?;
        Ok(picked(items, from, count, step).cloned().collect())
    }
}

/// First index and number of entries of a slice of `length` entries (Python's `slice.indices`).
fn indices(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> (i64, usize) {
    let length = length as i64;
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length.saturating_sub(1)) };
    let clamp = |bound: i64| {
        let from_start = if bound < 0 { bound.saturating_add(length) } else { bound };
        from_start.clamp(lowest, highest)
    };
    let from = start.map_or(if step > 0 { lowest } else { highest }, clamp);
    let to = stop.map_or(if step > 0 { highest } else { lowest }, clamp);
    let span = if step > 0 { to.saturating_sub(from) } else { from.saturating_sub(to) };
    let count = u64::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs());
    (from, count as usize)
}

fn picked<T>(items: &[T], from: i64, count: usize, step: i64) -> impl Iterator<Item = &T> {
    (0..count as i64).filter_map(move |turn| {
        let at = from.saturating_add(turn.saturating_mul(step));
        items.get(usize::try_from(at).ok()?)
    })
}
