//! Encodes a long text in parts: the library takes some 200 bytes for every byte of a text, and a row of which only the
//! start is trained need not be read to its end.

use crate::cuts::first_cut;
use crate::error::{Result, TextError};
use crate::frame::Frame;
use crate::growth::check_length;
use crate::guard::guarded;
use crate::tokenizer::{EncodedText, Tokenizer};

/// Bytes of a part, up to the next cut. Texts of less than two parts are encoded whole.
const PART: usize = 16 << 10;

impl Tokenizer {
    /// Ids of a text by a form of this tokenizer, with the place each came from. Of more than `most` ids there may come back
    /// exactly that many.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(crate) fn encoded(
        &self,
        with: &tokenizers::Tokenizer,
        text: &str,
        add_special_tokens: bool,
        most: Option<usize>,
    ) -> Result<EncodedText> {
        let frame = if add_special_tokens { self.frame.as_ref() } else { Some(&Frame::default()) };
        let (Some(frame), true) = (frame, self.cuts.ends && text.len() >= 2 * PART) else {
            return self.encode_whole(with, text, add_special_tokens);
        };
        match most {
            _ if self.cuts.starts => self.encode_parts(with, text, frame, most.unwrap_or(usize::MAX)),
            Some(most) => self.encode_start(with, text, add_special_tokens.then_some(frame), most),
            None => self.encode_whole(with, text, add_special_tokens),
        }
    }

    /// Part after part.
    fn encode_parts(
        &self,
        with: &tokenizers::Tokenizer,
        text: &str,
        frame: &Frame,
        most: usize,
    ) -> Result<EncodedText> {
        let mut encoded = EncodedText::default();
        encoded.add_outside(&frame.before);
        let mut start = 0_usize;
        let mut rest = text;
        while !rest.is_empty() && encoded.ids.len() <= most {
            let (part, after) = rest.split_at(first_cut(rest, PART).unwrap_or(rest.len()));
            let mut own = self.encode_whole(with, part, false)?;
            if start > 0 && self.cuts.first_keeps_space {
                own.leave_first_space();
            }
            encoded.ids.append(&mut own.ids);
            let place = |at: usize| start.saturating_add(at);
            encoded.offsets.extend(own.offsets.iter().map(|&(from, to)| (place(from), place(to))));
            start = place(part.len());
            rest = after;
        }
        if rest.is_empty() {
            encoded.add_outside(&frame.after);
        } else {
            encoded.shorten(most);
        }
        Ok(encoded)
    }

    /// A start of the text that is long enough; the whole where none is.
    fn encode_start(
        &self,
        with: &tokenizers::Tokenizer,
        text: &str,
        frame: Option<&Frame>,
        most: usize,
    ) -> Result<EncodedText> {
        let mut least = PART;
        while let Some(cut) = first_cut(text, least) {
            let mut encoded = self.encode_whole(with, &text[..cut], frame.is_some())?;
            let outside = frame.map_or(0, |frame| frame.after.len());
            if encoded.ids.len().saturating_sub(outside) >= most {
                encoded.shorten(most);
                return Ok(encoded);
            }
            least = cut.saturating_mul(4);
        }
        self.encode_whole(with, text, frame.is_some())
    }

    /// By one call of the library.
    fn encode_whole(&self, with: &tokenizers::Tokenizer, text: &str, add_special_tokens: bool) -> Result<EncodedText> {
        let refused = |what: String| TextError::tokenizer("encode", &format!("{what}; check tokenizer.json"));
        check_length(text, self.growth)?;
        guarded("encode", TextError::tokenizer, || {
            let encoding = with
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
        let [plain, framed] = [false, true].map(|special| self.encode_whole(&self.inner, "a", special));
        let (plain, framed) = (plain.ok()?.ids, framed.ok()?.ids);
        let at = framed.windows(plain.len().max(1)).position(|ids| ids == plain)?;
        let (before, rest) = framed.split_at_checked(at)?;
        Some(Frame { before: before.to_vec(), after: rest.get(plain.len()..)?.to_vec() })
    }
}

impl EncodedText {
    fn add_outside(&mut self, ids: &[i32]) {
        self.ids.extend(ids);
        self.offsets.resize(self.ids.len(), (0, 0));
    }

    fn shorten(&mut self, most: usize) {
        self.ids.truncate(most);
        self.offsets.truncate(most);
    }

    /// The first token begins after its space.
    fn leave_first_space(&mut self) {
        if let Some((from @ 0, to)) = self.offsets.first_mut() {
            *from = 1;
            *to = (*to).max(1);
        }
    }
}
