//! Tokenises a rendering in which some control tokens are to be read as text, as transformers 5.24 does with
//! `sanitize_control_tokens`: piece by piece, and those pieces without matching any added token.

use serde_json::{Value as Json, json};

use crate::encoded_text::EncodedText;
use crate::error::{Result, TextError};
use crate::guard::guarded;
use crate::parts::Form;
use crate::template::Rendered;
use crate::tokenizer::Tokenizer;
use crate::words::Words;

const PLACE: &str = "sanitize control tokens";

impl Tokenizer {
    /// Ids of a rendering, with the place each came from. Of more than `most` ids there may come back exactly that many.
    ///
    /// # Errors
    /// As [`Self::encode`]; `DATA_INVALID` for a control token that its text gives as well.
    pub(crate) fn encode_rendered(&self, rendered: &Rendered, most: Option<usize>) -> Result<EncodedText> {
        let text = rendered.text.as_str();
        if rendered.as_text.is_empty() {
            return self.encoded(self.form(), text, false, most);
        }
        let mut encoded = EncodedText::default();
        let mut done = 0;
        for &(start, end) in &rendered.as_text {
            self.add(&mut encoded, text, (done, start), None)?;
            self.add(&mut encoded, text, (start, end), Some(self.plain()?))?;
            done = end;
        }
        self.add(&mut encoded, text, (done, text.len()), None)?;
        Ok(encoded)
    }

    /// Adds the tokens of a piece of `text`; with `plain` it is read as text.
    fn add(
        &self,
        encoded: &mut EncodedText,
        text: &str,
        (start, end): (usize, usize),
        plain: Option<Form<'_>>,
    ) -> Result<()> {
        let piece = &text[start..end];
        if piece.is_empty() {
            return Ok(());
        }
        let form = plain.unwrap_or(self.form());
        // After a line end, so that no space is put in front of it as at the start of a text.
        let line_end = self.encoded(form, "\n", false, None)?;
        let after = if start == 0 { None } else { Some(self.encoded(form, &format!("\n{piece}"), false, None)?) };
        let (skipped, shift, tokens) = match after.filter(|after| after.ids.starts_with(&line_end.ids)) {
            Some(after) => (line_end.ids.len(), 1, after),
            None => (0, 0, self.encoded(form, piece, false, None)?),
        };
        let ids = tokens.ids.get(skipped..).unwrap_or_default();
        if plain.is_some() && self.token_to_id(piece).is_some_and(|id| ids.contains(&id)) {
            let what =
                format!("expected {piece} to be written with other tokens, got none in this tokenizer; change the row");
            return Err(TextError::data(PLACE, &what));
        }
        encoded.ids.extend(ids);
        let place = |at: usize| start.saturating_add(at.saturating_sub(shift));
        encoded.offsets.extend(tokens.offsets.iter().skip(skipped).map(|&(from, to)| (place(from), place(to))));
        Ok(())
    }

    /// The tokenizer without its added tokens; made when it is first needed.
    fn plain(&self) -> Result<Form<'_>> {
        let made = self.without_added.get_or_init(|| {
            let refused = |error: String| {
                TextError::tokenizer(PLACE, &format!("expected a tokenizer that can be copied, got {error}"))
            };
            guarded(PLACE, TextError::tokenizer, || {
                let text = self.inner.to_string(false).map_err(|error| refused(error.to_string()))?;
                let mut file: Json = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
                if let Json::Object(fields) = &mut file {
                    fields.insert("added_tokens".to_owned(), json!([]));
                    fields.insert("post_processor".to_owned(), Json::Null);
                }
                let library =
                    tokenizers::Tokenizer::from_bytes(file.to_string()).map_err(|error| refused(error.to_string()))?;
                Ok((library, Words::default()))
            })
        });
        let (library, words) = made.as_ref().map_err(Clone::clone)?;
        Ok(Form { library, words })
    }
}
