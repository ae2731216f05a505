//! A packed batch as the engine takes it, checked once.

use tunesmith_ops::{Attention, Error, Host, IGNORE_INDEX, Result, Sequences};

/// Token rows end to end, without padding. Borrowed from the caller.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Token ids `[T]`.
    pub input_ids: &'a [i32],
    /// Labels `[T]`, not shifted.
    pub labels: &'a [i32],
    /// Position of each token in its sequence `[T]`.
    pub positions: &'a [i32],
    /// First token of each sequence and T at the end `[n + 1]`.
    pub sequence_starts: &'a [i32],
    /// Loss weight per label `[T]`; all 1 when absent.
    pub weights: Option<&'a [f32]>,
}

impl Batch<'_> {
    /// Checks lengths, ids and starts against a vocabulary.
    ///
    /// # Errors
    /// `ArgumentInvalid` naming the field, the place and the value.
    pub fn check(&self, vocab_size: usize) -> Result<()> {
        let t = self.input_ids.len();
        for (name, len) in [
            ("labels", self.labels.len()),
            ("positions", self.positions.len()),
            ("weights", self.weights.map_or(t, <[f32]>::len)),
        ] {
            if len != t {
                return Err(wrong(name, format!("{t} values, one per token"), len));
            }
        }
        let vocabulary = |id: i32| usize::try_from(id).is_ok_and(|id| id < vocab_size);
        if let Some(place) = self.input_ids.iter().position(|id| !vocabulary(*id)) {
            return Err(wrong(
                "inputIds",
                format!("ids in 0 .. {vocab_size}"),
                format!("{} at {place}", self.input_ids[place]),
            ));
        }
        let label = |label: i32| label == IGNORE_INDEX || vocabulary(label);
        if let Some(place) = self.labels.iter().position(|id| !label(*id)) {
            return Err(wrong(
                "labels",
                format!("{IGNORE_INDEX} or ids in 0 .. {vocab_size}"),
                format!("{} at {place}", self.labels[place]),
            ));
        }
        if let Some(place) = self.positions.iter().position(|p| *p < 0) {
            return Err(wrong("positions", "no negative position", format!("{} at {place}", self.positions[place])));
        }
        check_starts(self.sequence_starts, t)
    }
}

fn check_starts(starts: &[i32], t: usize) -> Result<()> {
    let ends_well = starts.first() == Some(&0) && starts.last().and_then(|end| usize::try_from(*end).ok()) == Some(t);
    if !ends_well || starts.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(wrong("sequenceStarts", format!("ascending starts from 0 to {t}"), format!("{starts:?}")));
    }
    Ok(())
}

fn wrong(field: &str, expected: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
    Error::argument(&format!("batch.{field}"), expected, got)
}

/// Sequences of a packed pass, as attention takes them.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// First query row of each sequence, and the total.
    pub query_starts: Vec<usize>,
    /// First key row of each sequence.
    pub key_starts: Vec<usize>,
    /// Keys of each sequence.
    pub key_lengths: Vec<usize>,
}

impl Layout {
    /// Sequences whose keys are their own queries: training and evaluation.
    pub fn packed(starts: &[i32]) -> Self {
        let query_starts: Vec<usize> = starts.iter().map(|start| *start as usize).collect();
        Self {
            key_starts: query_starts[..query_starts.len() - 1].to_vec(),
            key_lengths: query_starts.windows(2).map(|pair| pair[1] - pair[0]).collect(),
            query_starts,
        }
    }

    /// Borrowed for an op.
    pub fn sequences(&self) -> Sequences<'_> {
        Sequences { query_starts: &self.query_starts, key_starts: &self.key_starts, key_lengths: &self.key_lengths }
    }

    /// Tokens in the pass.
    pub fn tokens(&self) -> usize {
        self.query_starts.last().copied().unwrap_or(0)
    }
}

/// The integers of a pass on the device.
pub struct Pass<B: Attention> {
    /// Token ids `[T]`.
    pub ids: B::Buffer,
    /// Positions `[T]`.
    pub positions: B::Buffer,
    /// Where the sequences lie.
    pub layout: Layout,
    /// The same as the backend's attention takes it.
    pub attention: B::Plan,
}

impl<B: Attention> Pass<B> {
    /// Uploads ids and positions and plans the attention, once for all layers.
    ///
    /// # Errors
    /// `OutOfMemory`, `ArgumentInvalid` when the layout contradicts itself.
    pub fn new(backend: &B, ids: &[i32], positions: &[i32], layout: Layout) -> Result<Self> {
        Ok(Self {
            ids: backend.upload(Host::I32(ids))?,
            positions: backend.upload(Host::I32(positions))?,
            attention: backend.plan_attention(layout.sequences())?,
            layout,
        })
    }

    /// Tokens in the pass.
    pub fn tokens(&self) -> usize {
        self.layout.tokens()
    }
}
