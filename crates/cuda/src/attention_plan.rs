//! The sequences of a pass as the attention kernels read them: tables on the device, made once for all layers.

use tunesmith_ops::{CheckedSequences, Host, Memory, Result, Sequence, Sequences};

use crate::Cuda;
use crate::device::{Address, Buffer};

/// Keys of one item of a sequence whose keys are split.
pub(crate) const CHUNK: usize = 256;

/// A sequence with a cache and at most so many queries has its keys split.
const FEW_QUERIES: usize = 16;

/// Blocks of rows that the kernels take: for head sizes up to 128, and above.
pub(crate) const BLOCKS: [usize; 2] = [128, 64];

/// A list in the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// First word.
    start: usize,
    /// Entries.
    pub(crate) count: usize,
}

/// Where the sequences of a pass lie.
#[derive(Debug)]
pub struct AttentionPlan {
    pub(crate) sequences: CheckedSequences,
    table: Buffer,
    /// Per size of block: by the number of keys its queries see, longest first.
    pub(crate) queries: [List; 2],
    /// Per size of block: by the number of queries that see its keys, longest first.
    pub(crate) keys: [List; 2],
    /// Items of sequences whose keys are split.
    pub(crate) items: List,
    /// Those sequences.
    pub(crate) split: List,
    /// The most queries of one of them.
    pub(crate) most_queries: usize,
}

fn is_split(s: Sequence) -> bool {
    s.queries <= FEW_QUERIES && s.keys > s.queries
}

/// The table in the making.
#[derive(Default)]
struct Table {
    words: Vec<i32>,
}

impl Table {
    fn put<const N: usize>(&mut self, entries: &[[usize; N]]) -> List {
        let list = List { start: self.words.len(), count: entries.len() };
        self.words.extend(entries.iter().flatten().map(|&word| word as i32));
        list
    }

    /// (sequence, first row) of the blocks of all sequences that are not split, by falling `cost`.
    fn blocks(&mut self, list: &[Sequence], block: usize, cost: impl Fn(Sequence, usize) -> usize) -> List {
        let whole = list.iter().enumerate().filter(|(_, s)| !is_split(**s));
        let mut entries: Vec<[usize; 2]> =
            whole.flat_map(|(i, s)| (0..s.queries).step_by(block).map(move |first| [i, first])).collect();
        entries.sort_by_key(|&[i, first]| std::cmp::Reverse(cost(list[i], first)));
        self.put(&entries)
    }
}

impl AttentionPlan {
    pub(crate) fn new(cuda: &Cuda, sequences: Sequences<'_>) -> Result<Self> {
        let sequences = sequences.check()?;
        let (list, mut table) = (&sequences.list, Table::default());
        table.put(&list.iter().map(|s| [s.query, s.queries, s.key, s.keys]).collect::<Vec<_>>());
        let queries = BLOCKS.map(|block| table.blocks(list, block, |s, first| s.keys - s.queries + first));
        let keys = BLOCKS.map(|block| table.blocks(list, block, |s, first| s.queries - first));
        let (mut items, mut split) = (Vec::new(), Vec::new());
        for (i, s) in list.iter().enumerate().filter(|(_, s)| is_split(**s)) {
            split.push([i, items.len(), s.keys.div_ceil(CHUNK), 0]);
            items.extend((0..s.keys).step_by(CHUNK).map(|first| [i, first]));
        }
        let most_queries = list.iter().filter(|s| is_split(**s)).map(|s| s.queries).max().unwrap_or(0);
        let (items, split) = (table.put(&items), table.put(&split));
        let table = cuda.upload(Host::I32(&table.words))?;
        Ok(Self { sequences, table, queries, keys, items, split, most_queries })
    }

    /// Where the sequences lie.
    pub(crate) fn spans(&self) -> Address {
        self.table.address_of(0)
    }

    /// Where a list lies.
    pub(crate) fn place(&self, list: List) -> Address {
        self.table.address_of(list.start)
    }
}
