//! Control tokens that stand inside the texts of a row, where they are somebody's words and not the template's.

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value as Json;

use crate::error::{Result, TextError};

/// Tokens that are matched in text, and how they are found.
pub(crate) struct ControlTokens {
    tokens: Vec<String>,
    finder: AhoCorasick,
}

impl ControlTokens {
    /// From the tokens' texts.
    ///
    /// # Errors
    /// `TOKENIZER_INVALID` for more of them than can be looked for.
    pub fn new(tokens: Vec<String>) -> Result<Self> {
        let tokens: Vec<String> = tokens.into_iter().filter(|token| !token.trim().is_empty()).collect();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&tokens);
        let finder = finder.map_err(|error| {
            let what = format!("expected special tokens that can be looked for, got {error}; fetch the file again");
            TextError::tokenizer("tokenizer.json", &what)
        })?;
        Ok(Self { tokens, finder })
    }

    /// The tokens that `text` contains, in its order.
    pub fn found<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.finder.find_iter(text).filter_map(|found| self.tokens.get(found.pattern().as_usize())).map(String::as_str)
    }

    /// Puts marks around every token in the texts of a value, its keys excepted.
    pub fn mark(&self, value: &mut Json, (open, close): (char, char)) {
        each_text(value, &mut |text| {
            if !self.finder.is_match(text.as_str()) {
                return;
            }
            let mut marked = String::with_capacity(text.len().saturating_add(16));
            let mut copied = 0;
            for found in self.finder.find_iter(text.as_str()) {
                marked.push_str(&text[copied..found.start()]);
                marked.push(open);
                marked.push_str(&text[found.range()]);
                marked.push(close);
                copied = found.end();
            }
            marked.push_str(&text[copied..]);
            *text = marked;
        });
    }
}

/// Calls `visit` with every text of a value, its keys excepted.
pub(crate) fn visit_texts(value: &Json, visit: &mut impl FnMut(&str)) {
    match value {
        Json::String(text) => visit(text),
        Json::Array(items) => items.iter().for_each(|item| visit_texts(item, visit)),
        Json::Object(fields) => fields.values().for_each(|item| visit_texts(item, visit)),
        _ => {}
    }
}

/// Calls `change` with every text of a value, its keys excepted.
pub(crate) fn each_text(value: &mut Json, change: &mut impl FnMut(&mut String)) {
    match value {
        Json::String(text) => change(text),
        Json::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Json::Object(fields) => fields.values_mut().for_each(|item| each_text(item, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ControlTokens;

    #[test]
    fn the_longest_token_at_a_place_is_found() {
        let tokens = ControlTokens::new(vec!["<e>".to_owned(), "<e><f>".to_owned(), "\n".to_owned()]).unwrap();
        assert_eq!(tokens.found("a\n<e>b<e><f>").collect::<Vec<_>>(), ["<e>", "<e><f>"]);
        let mut value = json!({"<e>": ["x<e>", {"a": "<e><f><e>"}, 1]});
        tokens.mark(&mut value, ('(', ')'));
        assert_eq!(value, json!({"<e>": ["x(<e>)", {"a": "(<e><f>)(<e>)"}, 1]}));
    }
}
