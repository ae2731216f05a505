//! A packed batch as the engine takes it, checked once.

use tunesmith_ops::{Attention, Backend, Error, Host, IGNORE_INDEX, Matrix, Memory, Result, Sequences, View, ViewMut};

use crate::noise::EmbeddingNoise;

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
    /// Row of the data set each sequence comes from `[n]`: keys dropout masks. Needed only where something is dropped or drawn.
    pub row_ids: Option<&'a [i32]>,
}

/// Keys the random numbers of one training step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepKey {
    /// The run's seed.
    pub seed: u64,
    /// The step, from 1. The batches of a step share it.
    pub step: u64,
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
        check_starts(self.sequence_starts, t)?;
        let sequences = self.sequence_starts.len() - 1;
        match self.row_ids.map(<[i32]>::len).filter(|len| *len != sequences) {
            Some(len) => Err(wrong("rowIds", format!("{sequences} values, one per sequence"), len)),
            None => Ok(()),
        }
    }

    /// The row of every token.
    ///
    /// # Errors
    /// `ArgumentInvalid` when the batch has no row ids.
    pub fn token_rows(&self) -> Result<Vec<i32>> {
        let Some(row_ids) = self.row_ids else {
            return Err(wrong("rowIds", "one per sequence, for dropout and the noise on embeddings", "none"));
        };
        let lengths = self.sequence_starts.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
        Ok(row_ids.iter().zip(lengths).flat_map(|(row, len)| std::iter::repeat_n(*row, len)).collect())
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
pub struct SequenceLayout {
    /// First query row of each sequence, and the total.
    pub query_starts: Vec<usize>,
    /// First key row of each sequence.
    pub key_starts: Vec<usize>,
    /// Keys of each sequence.
    pub key_lengths: Vec<usize>,
}

impl SequenceLayout {
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

/// The tokens that a layer works on, and whose they are.
pub struct Rows<'a, B: Memory> {
    /// Number of tokens.
    pub count: usize,
    /// Where random numbers are drawn in this pass; none: nothing is dropped.
    pub places: Option<Places<'a, B>>,
}

impl<B: Memory> Clone for Rows<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Memory> Copy for Rows<'_, B> {}

impl<B: Memory> Rows<'_, B> {
    /// `count` of them from `first` on.
    ///
    /// # Errors
    /// `Internal` when there are fewer.
    pub fn part(&self, first: usize, count: usize) -> Result<Self> {
        let places = self.places.map(|places| {
            let [row_ids, positions] = [places.row_ids.part(first, count)?, places.positions.part(first, count)?];
            Ok(Places { row_ids, positions, ..places })
        });
        Ok(Self { count, places: places.transpose()? })
    }
}

/// What the random numbers of tokens are keyed by: never their place in the batch.
pub struct Places<'a, B: Memory> {
    /// Seed and step.
    pub key: StepKey,
    /// Row of the data set of each token `[T]`.
    pub row_ids: View<'a, B::Buffer>,
    /// Position of each token in its row `[T]`.
    pub positions: View<'a, B::Buffer>,
}

impl<B: Memory> Clone for Places<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Memory> Copy for Places<'_, B> {}

/// Random numbers of some tokens of a training pass.
struct Draws<B: Memory> {
    key: StepKey,
    row_ids: B::Buffer,
    positions: B::Buffer,
}

impl<B: Memory> Draws<B> {
    fn new(backend: &B, key: StepKey, row_ids: &[i32], positions: &[i32]) -> Result<Self> {
        let (row_ids, positions) = (backend.upload(Host::I32(row_ids))?, backend.upload(Host::I32(positions))?);
        Ok(Self { key, row_ids, positions })
    }

    fn rows(draws: Option<&Self>, count: usize) -> Rows<'_, B> {
        let places = draws.map(|draws| Places {
            key: draws.key,
            row_ids: View::new(&draws.row_ids, 0, count),
            positions: View::new(&draws.positions, 0, count),
        });
        Rows { count, places }
    }
}

/// The tokens of a pass that are asked for something, a loss or the next token, on the device. After the last attention no
/// other token has an effect, so that nothing else is computed there.
pub struct SelectedTokens<B: Memory> {
    host: Vec<i32>,
    tokens: B::Buffer,
    draws: Option<Draws<B>>,
}

impl<B: Memory> SelectedTokens<B> {
    /// Number of tokens `m`.
    pub fn count(&self) -> usize {
        self.host.len()
    }

    /// As layers take them.
    pub fn rows(&self) -> Rows<'_, B> {
        Draws::rows(self.draws.as_ref(), self.count())
    }

    fn tokens(&self) -> View<'_, B::Buffer> {
        View::new(&self.tokens, 0, self.count())
    }
}

impl<B: Backend> SelectedTokens<B> {
    /// Writes their rows `chosen[m, d]` out of `all[t, d]`.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn gather(
        &self,
        backend: &B,
        d: usize,
        all: View<'_, B::Buffer>,
        chosen: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        backend.embedding_forward(all.len / d, d, Matrix::Trained(all), self.tokens(), chosen)
    }

    /// The other way round: writes `all[t, d]`, which is zero but for their rows.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    pub fn scatter(
        &self,
        backend: &B,
        d: usize,
        chosen: View<'_, B::Buffer>,
        mut all: ViewMut<'_, B::Buffer>,
    ) -> Result<()> {
        backend.clear(all.reborrow())?;
        backend.embedding_backward(all.len / d, d, chosen, self.tokens(), all)
    }
}

/// The integers of a pass on the device.
pub struct Pass<B: Attention> {
    /// Token ids `[T]`.
    pub ids: B::Buffer,
    /// The same on the host.
    pub host_ids: Vec<i32>,
    /// Positions `[T]`.
    pub positions: B::Buffer,
    /// Where the sequences are.
    pub layout: SequenceLayout,
    /// Largest position of each sequence, plus one: its length as RoPE sees it.
    pub ends: Vec<usize>,
    /// The same as the backend's attention takes it.
    pub attention: B::Plan,
    /// The tokens that are asked for something.
    pub selected: SelectedTokens<B>,
    /// What is added to the embeddings of a training pass.
    pub noise: Option<EmbeddingNoise<B>>,
    draws: Option<Draws<B>>,
}

impl<B: Attention> Pass<B> {
    /// Uploads ids and positions and plans the attention, once for all layers. `selected` are places in the pass, ascending.
    ///
    /// # Errors
    /// `OutOfMemory`, `ArgumentInvalid` when the layout contradicts itself.
    pub fn new(
        backend: &B,
        ids: &[i32],
        positions: &[i32],
        layout: SequenceLayout,
        selected: Vec<i32>,
    ) -> Result<Self> {
        let ends = layout.query_starts.windows(2).map(|range| {
            let largest = positions[range[0]..range[1]].iter().max();
            largest.map_or(0, |position| *position as usize + 1)
        });
        Ok(Self {
            ends: ends.collect(),
            ids: backend.upload(Host::I32(ids))?,
            host_ids: ids.to_vec(),
            positions: backend.upload(Host::I32(positions))?,
            attention: backend.plan_attention(layout.sequences())?,
            layout,
            selected: SelectedTokens { tokens: backend.upload(Host::I32(&selected))?, host: selected, draws: None },
            noise: None,
            draws: None,
        })
    }

    /// Lets adapters drop, and noise be drawn. `token_rows` is the row of the data set of each token `[T]`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn draw(&mut self, backend: &B, key: StepKey, token_rows: &[i32], positions: &[i32]) -> Result<()> {
        let of_wanted =
            |source: &[i32]| self.selected.host.iter().map(|token| source[*token as usize]).collect::<Vec<_>>();
        self.selected.draws = Some(Draws::new(backend, key, &of_wanted(token_rows), &of_wanted(positions))?);
        self.draws = Some(Draws::new(backend, key, token_rows, positions)?);
        Ok(())
    }

    /// Tokens in the pass.
    pub fn tokens(&self) -> usize {
        self.layout.tokens()
    }

    /// All tokens of the pass, as layers take them.
    pub fn rows(&self) -> Rows<'_, B> {
        Draws::rows(self.draws.as_ref(), self.tokens())
    }
}
