//! Encodes a text in parts. Words that came before are looked up; the others go through the library, a part at a time: it
//! takes some 200 bytes for every byte of a text, and a row of which only the start is trained need not be read to its end.

use crate::encoded_text::EncodedText;
use crate::error::{Result, TextError};
use crate::frame::Frame;
use crate::growth::check_length;
use crate::guard::guarded;
use crate::tokenizer::Tokenizer;
use crate::words::{Found, Words};

/// Bytes that go through the library together, up to the next cut.
const PART: usize = 16 << 10;

/// A form of a tokenizer: with its added tokens, or without.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    pub library: &'a tokenizers::Tokenizer,
    pub words: &'a Words,
}

impl Tokenizer {
    /// The tokenizer as its file has it.
    pub(crate) fn form(&self) -> Form<'_> {
        Form { library: &self.inner, words: &self.words }
    }

    /// Ids of a text by a form of this tokenizer, with the place each came from. Of more than `most` ids there may come back
    /// exactly that many.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) fn encoded(
        &self,
        form: Form<'_>,
        text: &str,
        add_special_tokens: bool,
        most: Option<usize>,
    ) -> Result<EncodedText> {
        let frame = if add_special_tokens { self.frame.as_ref() } else { Some(&Frame::default()) };
        match (frame, most) {
            (Some(frame), _) if self.cuts.starts => self.encode_words(form, text, frame, most.unwrap_or(usize::MAX)),
            (Some(frame), Some(most)) if self.cuts.ends && text.len() >= 2 * PART => {
                self.encode_start(form, text, add_special_tokens.then_some(frame), most)
            }
            _ => self.encode_whole(form, text, add_special_tokens),
        }
    }

    /// Word after word, those that are not remembered together.
    fn encode_words(&self, form: Form<'_>, text: &str, frame: &Frame, most: usize) -> Result<EncodedText> {
        let mut encoded = EncodedText::default();
        encoded.add_outside(&frame.before);
        let mut known = EncodedText::default();
        let (mut done, mut end) = (0_usize, 0_usize);
        while end < text.len() && encoded.ids.len() <= most {
            let start = end;
            let rest = &text[start..];
            end = start.saturating_add(self.cuts.first(rest, 0).unwrap_or(rest.len()));
            let word = &text[start..end];
            let found = form.words.look_up(word, &mut known);
            let unknown = if found == Found::Never { end } else { start };
            if found == Found::Never && end < text.len() && end.saturating_sub(done) < PART {
                continue;
            }
            if done < unknown {
                self.add_part(&mut encoded, &mut self.encode_whole(form, &text[done..unknown], false)?, done);
            }
            if found == Found::New {
                known = self.encode_whole(form, word, false)?;
                form.words.insert(word, known.clone());
            }
            if found != Found::Never {
                self.add_part(&mut encoded, &mut known, start);
            }
            done = end;
        }
        if end == text.len() {
            encoded.add_outside(&frame.after);
        } else {
            encoded.shorten(most);
        }
        Ok(encoded)
    }

    /// Adds the tokens of a part that begins at `start`.
    fn add_part(&self, encoded: &mut EncodedText, part: &mut EncodedText, start: usize) {
        if start > 0 && self.cuts.first_keeps_space {
            part.leave_first_space();
        }
        encoded.ids.append(&mut part.ids);
        let place = |at: usize| start.saturating_add(at);
        encoded.offsets.extend(part.offsets.drain(..).map(|(from, to)| (place(from), place(to))));
    }

    /// A start of the text that is long enough; the whole where none is.
    fn encode_start(&self, form: Form<'_>, text: &str, frame: Option<&Frame>, most: usize) -> Result<EncodedText> {
        let mut least = PART;
        while let Some(cut) = self.cuts.first(text, least) {
            let mut encoded = self.encode_whole(form, &text[..cut], frame.is_some())?;
            let outside = frame.map_or(0, |frame| frame.after.len());
            if encoded.ids.len().saturating_sub(outside) >= most {
                encoded.shorten(most);
                return Ok(encoded);
            }
            least = cut.saturating_mul(4);
        }
        self.encode_whole(form, text, frame.is_some())
    }

    /// By one call of the library.
    fn encode_whole(&self, form: Form<'_>, text: &str, add_special_tokens: bool) -> Result<EncodedText> {
        let refused = |what: String| TextError::tokenizer("encode", &format!("{what}; check tokenizer.json"));
        check_length(text, self.growth)?;
        guarded("encode", TextError::tokenizer, || {
            let encoding = form
                .library
                .encode(text, add_special_tokens)
                .map_err(|error| refused(format!("expected text it can encode, got a failure ({error})")))?;
            // A post-processor adds the ids that its file names, whatever they are.
            let ids = encoding
                .get_ids()
                .iter()
                .map(|&id| i32::try_from(id).map_err(|_| refused(format!("expected token ids below 2^31, got {id}"))));
            Ok(EncodedText { ids: ids.collect::<Result<_>>()?, offsets: encoding.get_offsets().to_vec() })
        })
    }

    /// What the post-processor writes around a text; none where that cannot be told, or texts cannot be encoded.
    pub(crate) fn read_frame(&self) -> Option<Frame> {
        let [plain, framed] = [false, true].map(|special| self.encode_whole(self.form(), "a", special));
        let (plain, framed) = (plain.ok()?.ids, framed.ok()?.ids);
        let at = framed.windows(plain.len().max(1)).position(|ids| ids == plain)?;
        let (before, rest) = framed.split_at_checked(at)?;
        Some(Frame { before: before.to_vec(), after: rest.get(plain.len()..)?.to_vec() })
    }
}
