//! `str.format`: `{}`, `{0}`, `{name.field[key]!r:>8}`.

use std::sync::Arc;

use super::super::arguments::Given;
use super::super::error::{Error, Result, refuse};
use super::super::run::Run;
use super::super::value::{Value, repr, to_text};
use super::spec::formatted;

/// The text with its fields filled in.
pub(crate) fn format(run: &Run, text: &str, given: Given) -> Result<Value> {
    let (positional, named) = given.into_parts();
    let mut fields = Fields { run, positional, named, automatic: Some(0) };
    fields.fill(text, 3).map(Value::text)
}

struct Fields<'a, 'b> {
    run: &'a Run<'b>,
    positional: Vec<Value>,
    named: Vec<(Arc<str>, Value)>,
    /// The next field without a number; none once a field has one.
    automatic: Option<usize>,
}

impl Fields<'_, '_> {
    /// `levels` counts how deep fields may stand in fields' formats.
    fn fill(&mut self, text: &str, levels: u32) -> Result<String> {
        let Some(levels) = levels.checked_sub(1) else { return refuse("Max string recursion exceeded") };
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, inside) = rest.split_at(at);
            out.push_str(before);
            let (brace, after) = inside.split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                out.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return refuse("Single '}' encountered in format string");
            }
            let (field, after) = field(after).ok_or_else(|| Error::new("expected '}' before end of string"))?;
            out.push_str(&self.field(field, levels)?);
            rest = after;
        }
        out.push_str(rest);
        self.run.budget().text(out.len())?;
        Ok(out)
    }

    fn field(&mut self, field: &str, levels: u32) -> Result<String> {
        let name_end = end_of_name(field);
        let (name, rest) = field.split_at(name_end);
        let (conversion, spec) = match rest.strip_prefix('!') {
            Some(rest) => {
                let conversion = rest.chars().next().ok_or_else(|| Error::new("a conversion is missing after '!'"))?;
                let after = &rest[conversion.len_utf8()..];
                if !after.is_empty() && !after.starts_with(':') {
                    return refuse("expected ':' after conversion specifier");
                }
                (Some(conversion), after)
            }
            None => (None, rest),
        };
        let value = self.value(name)?;
        let spec = self.fill(spec.strip_prefix(':').unwrap_or(spec), levels)?;
        let budget = self.run.budget();
        let value = match conversion {
            None => value,
            Some('s') => Value::text(to_text(&value, budget)?),
            Some('r') => Value::text(repr(&value, budget)?),
            Some(other) => return refuse(format!("Unknown conversion specifier {other}")),
        };
        formatted(self.run, &value, &spec)
    }

    fn value(&mut self, name: &str) -> Result<Value> {
        let head_end = name.find(['.', '[']).unwrap_or(name.len());
        let (head, mut rest) = name.split_at(head_end);
        let mut value = self.argument(head)?;
        while !rest.is_empty() {
            let (found, after) = if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                (value.attribute(&after[..end].into())?, &after[end..])
            } else if let Some((key, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let key = key.parse().map_or_else(|_| Value::text(key), Value::Int);
                (self.run.item(&value, &key)?, after)
            } else {
                return refuse("Only '.' or '[' may follow ']' in format field specifier");
            };
            (value, rest) = (found, after);
        }
        Ok(value)
    }

    fn argument(&mut self, head: &str) -> Result<Value> {
        let index = if head.is_empty() {
            let index = self.automatic.ok_or_else(|| Error::new("cannot switch from manual to automatic numbering"))?;
            self.automatic = index.checked_add(1);
            index
        } else if let Ok(index) = head.parse::<usize>() {
            if self.automatic.is_some_and(|next| next > 0) {
                return refuse("cannot switch from automatic field numbering to manual field specification");
            }
            self.automatic = None;
            index
        } else {
            let found = self.named.iter().find(|(name, _)| **name == *head);
            return found.map(|(_, value)| value.clone()).ok_or_else(|| Error::new(format!("'{head}' is not given")));
        };
        let found = self.positional.get(index).cloned();
        found.ok_or_else(|| Error::new("Replacement index out of range for positional args tuple"))
    }
}

/// The field that a text begins in, and what follows the brace that closes it.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    let (field, end) = text.split_at(text.find(|c| {
        open = match c {
            '{' => open.saturating_add(1),
            '}' => open.saturating_sub(1),
            _ => open,
        };
        open == 0
    })?);
    Some((field, end.strip_prefix('}')?))
}

/// Where a field's name ends: before `!` or `:` outside brackets.
fn end_of_name(field: &str) -> usize {
    let mut inside = false;
    let end = field.char_indices().find(|(_, c)| {
        inside = (inside || *c == '[') && *c != ']';
        !inside && matches!(c, '!' | ':')
    });
    end.map_or(field.len(), |(at, _)| at)
}
