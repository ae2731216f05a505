//! A text as ids, with their places.

/// Ids and where in the text each came from.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EncodedText {
    /// Token ids.
    pub ids: Vec<i32>,
    /// Byte offsets in the text, start inclusive, end exclusive, per id; (0, 0) for tokens the tokenizer added.
    pub offsets: Vec<(usize, usize)>,
}

impl EncodedText {
    /// Adds ids that a tokenizer wrote around a text.
    pub(crate) fn add_outside(&mut self, ids: &[i32]) {
        self.ids.extend(ids);
        self.offsets.resize(self.ids.len(), (0, 0));
    }

    /// Keeps the first `most` ids.
    pub(crate) fn shorten(&mut self, most: usize) {
        self.ids.truncate(most);
        self.offsets.truncate(most);
    }

    /// The first token begins after its space.
    pub(crate) fn leave_first_space(&mut self) {
        if let Some((from @ 0, to)) = self.offsets.first_mut() {
            *from = 1;
            *to = (*to).max(1);
        }
    }
}
