//! What the kernels leave out, which no result shows: the emulated device counts what its threads do, and they do just as
//! much as the sizes ask for.

use std::ops::Range;

use tunesmith_conformance::{Inputs, Stage};
use tunesmith_cuda::{Cuda, EmulatedOptions, Work};
use tunesmith_ops::{
    Attention, AttentionShape, DType, GroupedMatmul, GroupedShape, Host, Lora, LoraMatmul, Matmul, MatmulShape, Matrix,
    Nf4, Nf4Matrix, Nf4Scales, Result, Router, RouterShape, Sequence, Sequences, Stack, Storage,
};

fn device(dtype: DType) -> Cuda {
    Cuda::emulated(&EmulatedOptions::default(), dtype).expect("an emulated device")
}

/// Tiles of `other` rows of the other side that the blocks of `block` of `rows` rows meet, block by block. A row `reaches` a
/// range; those of neighbours touch.
fn tiles(rows: usize, block: usize, other: usize, reach: impl Fn(usize) -> Range<usize>) -> Vec<usize> {
    let meet = |first: usize| {
        let last = rows.min(first + block) - 1;
        reach(last).end.div_ceil(other) - reach(first).start / other
    };
    (0..rows).step_by(block).map(meet).collect()
}

/// How the tensor-core kernels of a head size divide the work.
struct Tiling {
    head_dim: usize,
    /// Elements of a row in shared memory.
    width: usize,
    /// Rows of a block of threads; a warp has 16.
    block: usize,
    /// Rows of the other side in a stage.
    other: usize,
    /// Two stages of shared memory need one barrier a step, one stage two.
    stages: usize,
    /// Blocks that share the columns of the keys' gradients.
    halves: usize,
}

const TILINGS: [Tiling; 2] = [
    Tiling { head_dim: 64, width: 64, block: 128, other: 64, stages: 2, halves: 1 },
    Tiling { head_dim: 200, width: 256, block: 64, other: 32, stages: 1, halves: 2 },
];

const WINDOWS: [Option<usize>; 3] = [None, Some(1), Some(72)];

/// Queries and keys of each sequence: those of training around every edge of a block, and with a cache of keys.
const TRAINING: [(usize, usize); 8] =
    [(1, 1), (2, 2), (33, 33), (64, 64), (96, 96), (128, 128), (130, 130), (201, 201)];
const CACHED: [(usize, usize); 6] = [(1, 38), (3, 520), (16, 256), (17, 54), (60, 64), (140, 177)];

/// Runs attention over sequences of so many queries and keys, backward too where these are the same.
fn attend(cuda: &Cuda, shape: &AttentionShape, lengths: &[(usize, usize)]) -> Result<()> {
    let (stage, mut inputs) = (Stage::with_margin(cuda, 16), Inputs::new(7));
    let (mut query_starts, mut key_starts, mut keys) = (vec![0], Vec::new(), 0);
    for &(queries, own) in lengths {
        query_starts.push(query_starts[query_starts.len() - 1] + queries);
        key_starts.push(keys);
        keys += own;
    }
    let key_lengths: Vec<usize> = lengths.iter().map(|&(_, keys)| keys).collect();
    let t = query_starts[lengths.len()];
    let sequences = Sequences { query_starts: &query_starts, key_starts: &key_starts, key_lengths: &key_lengths };
    let (wide, narrow) = (t * shape.heads * shape.head_dim, keys * shape.kv_heads * shape.head_dim);
    let [q, k, v] = [wide, narrow, narrow].map(|len| stage.activations(&inputs.uniform(len, 1.0)));
    let (q, k, v, plan) = (q?, k?, v?, cuda.plan_attention(sequences)?);
    let (mut out, mut lse) = (stage.activation_output(wide)?, stage.output(t * shape.heads)?);
    cuda.attention_forward(shape, &plan, q.view(), k.view(), v.view(), out.view_mut(), Some(lse.view_mut()))?;
    if lengths.iter().any(|(queries, keys)| queries != keys) {
        return Ok(());
    }
    let [dq, dk, dv] = [wide, narrow, narrow].map(|len| stage.activation_output(len));
    let (mut dq, mut dk, mut dv) = (dq?, dk?, dv?);
    let (out, lse, dq, dk, dv) = (out.view(), lse.view(), dq.view_mut(), dk.view_mut(), dv.view_mut());
    cuda.attention_backward(shape, &plan, q.view(), k.view(), v.view(), out, lse, q.view(), dq, dk, dv)
}

/// What the kernels of the names did for these sequences.
fn work_of(
    dtype: DType,
    shape: &AttentionShape,
    lengths: &[(usize, usize)],
    names: &[String],
) -> Result<Vec<[usize; 3]>> {
    let cuda = device(dtype);
    attend(&cuda, shape, lengths)?;
    let counts = |Work { barriers, exchanges, copies }: Work| [barriers, exchanges, copies].map(|count| count as usize);
    Ok(names.iter().map(|name| counts(cuda.work(name))).collect())
}

fn of_lengths(lengths: &[(usize, usize)]) -> impl Iterator<Item = Sequence> {
    lengths.iter().map(|&(queries, keys)| Sequence { query: 0, queries, key: 0, keys })
}

/// Queries that see a key of a sequence whose queries and keys are the same rows.
fn seen_by(s: Sequence, key: usize, window: Option<usize>) -> Range<usize> {
    key..window.map_or(s.keys, |window| s.keys.min(key + window))
}

/// Barriers, exchanges over those of one tile of a warp, and copies that the tensor-core kernels need: forward, and the
/// gradients of keys and of queries.
fn needed(tiling: &Tiling, shape: &AttentionShape, lengths: &[(usize, usize)]) -> [[usize; 3]; 3] {
    let Tiling { width, block, other, stages, halves, .. } = *tiling;
    let AttentionShape { heads, kv_heads, window, .. } = *shape;
    let (threads, group) = (2 * block, heads / kv_heads);
    let row = width / 8;
    let barriers = |steps: usize| if stages == 2 { steps } else { 2 * steps - 1 };
    let mut all = [[0; 3]; 3];
    let mut add = |kernel: usize, numbers: [usize; 3]| {
        all[kernel].iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    };
    // Few queries with a cache are not theirs.
    for s in of_lengths(lengths).filter(|s| s.queries > 16 || s.queries == s.keys) {
        let warps: usize = tiles(s.queries, 16, other, |q| s.reach(q, window)).iter().sum();
        for steps in tiles(s.queries, block, other, |q| s.reach(q, window)) {
            add(0, [threads * heads * steps, 0, heads * row * (block + 2 * other * steps)]);
            add(2, [threads * heads * barriers(steps), 0, heads * row * 2 * (block + other * steps)]);
        }
        add(0, [0, heads * warps, 0]);
        add(2, [0, heads * warps, 0]);
        let warps: usize = tiles(s.keys, 16, other, |key| seen_by(s, key, window)).iter().sum();
        for steps in tiles(s.keys, block, other, |key| seen_by(s, key, window)) {
            let blocks = kv_heads * halves;
            add(1, [threads * blocks * barriers(group * steps), 0, blocks * row * 2 * (block + other * group * steps)]);
        }
        add(1, [0, heads * halves * warps, 0]);
    }
    all
}

#[test]
fn attention_does_no_more_than_it_must() -> Result<()> {
    for tiling in &TILINGS {
        let width = tiling.width;
        let names =
            ["forward", "backward_keys", "backward_queries"].map(|part| format!("attention_{part}_{width}_bf16"));
        let one = AttentionShape {
            heads: 1,
            kv_heads: 1,
            head_dim: tiling.head_dim,
            scale: 0.1,
            window: None,
            soft_cap: None,
        };
        let unit = work_of(DType::Bf16, &one, &[(1, 1)], &names)?;
        for window in WINDOWS {
            let shape = AttentionShape { heads: 2, kv_heads: 1, window, ..one };
            for lengths in [&TRAINING[..], &CACHED] {
                let got = work_of(DType::Bf16, &shape, lengths, &names)?;
                let want = needed(tiling, &shape, lengths);
                let kernels = if lengths == CACHED { 1 } else { 3 };
                for kernel in 0..kernels {
                    let [barriers, exchanges, copies] = want[kernel];
                    // Both halves of the columns count in the gradients of one key.
                    let tile = unit[kernel][1] / if kernel == 1 { tiling.halves } else { 1 };
                    let name = format!("{} window {window:?} {lengths:?}", names[kernel]);
                    assert_eq!(got[kernel], [barriers, exchanges * tile, copies], "{name}");
                }
            }
        }
    }
    Ok(())
}

/// Barriers, and exchanges over those of one row and tile, of the kernel that goes row by row: 16 rows of a key head against
/// 32 keys at a time.
fn needed_by_rows(shape: &AttentionShape, list: impl Iterator<Item = Sequence>) -> [usize; 2] {
    let AttentionShape { heads, kv_heads, window, .. } = *shape;
    let group = heads / kv_heads;
    list.fold([0, 0], |[barriers, exchanges], s| {
        let of = |block| tiles(s.queries * group, block, 32, |row| s.reach(row / group, window)).iter().sum::<usize>();
        [barriers + 2 * 128 * kv_heads * of(16), exchanges + kv_heads * of(1)]
    })
}

#[test]
fn attention_by_rows_does_no_more_than_it_must() -> Result<()> {
    let one = AttentionShape { heads: 1, kv_heads: 1, head_dim: 16, scale: 0.1, window: None, soft_cap: None };
    let names = ["rows", "backward_keys", "backward_queries"].map(|part| format!("attention_{part}_f32"));
    let unit = work_of(DType::F32, &one, &[(1, 1)], &names)?[0][1];
    for window in WINDOWS {
        let shape = AttentionShape { heads: 3, kv_heads: 1, window, ..one };
        for lengths in [&TRAINING[..], &CACHED] {
            let got = work_of(DType::F32, &shape, lengths, &names)?;
            let [barriers, exchanges] = needed_by_rows(&shape, of_lengths(lengths));
            assert_eq!(got[0][..2], [barriers, exchanges * unit], "rows window {window:?} {lengths:?}");
        }
        let split = |s: &Sequence| s.queries <= 16;
        let got = work_of(DType::Bf16, &shape, &CACHED, &["attention_rows_bf16".to_owned()])?;
        let [barriers, exchanges] = needed_by_rows(&shape, of_lengths(&CACHED).filter(split));
        assert_eq!(got[0][..2], [barriers, exchanges * unit], "rows of a cache window {window:?}");
        // Eight rows of a block against 32 of the other side, with one exchange and two barriers.
        let got = work_of(DType::F32, &shape, &TRAINING, &names)?;
        let (mut keys, mut queries) = (0, 0);
        for s in of_lengths(&TRAINING) {
            keys += tiles(s.keys, 8, 32, |key| seen_by(s, key, window)).iter().sum::<usize>();
            queries += tiles(s.queries, 8, 32, |q| s.reach(q, window)).iter().sum::<usize>();
        }
        for (kernel, steps) in [(1, keys), (2, queries)] {
            let arrivals = 256 * shape.heads * steps;
            assert_eq!(got[kernel][..2], [2 * arrivals, arrivals], "{} window {window:?}", names[kernel]);
        }
    }
    Ok(())
}

#[test]
fn matmul_does_no_more_than_it_must() -> Result<()> {
    for dtype in [DType::F32, DType::Bf16] {
        // The last: few tiles and many tokens, so that the gradient of the weight is made in parts.
        for (m, n, k) in [(1, 8, 16), (70, 136, 40), (65, 64, 96), (64, 72, 200), (330, 40, 48)] {
            let (cuda, shape) = (device(dtype), MatmulShape { m, n, k });
            let stage = Stage::with_margin(&cuda, 16);
            let (x, dy) = (stage.activations(&vec![1.0; m * k])?, stage.activations(&vec![1.0; m * n])?);
            let weight = cuda.prepare_weight(n, k, Host::F32(&vec![1.0; n * k]), Storage::F32)?;
            let (mut y, mut dw) = (stage.activation_output(m * n)?, stage.floats(&vec![0.0; n * k])?);
            cuda.matmul_forward(shape, x.view(), Matrix::Frozen(&weight), None, y.view_mut())?;
            cuda.matmul_backward_weight(shape, dy.view(), x.view(), dw.view_mut())?;
            for (op, tiles, reduced) in
                [("forward", m.div_ceil(64) * n.div_ceil(64), k), ("weight", n.div_ceil(64) * k.div_ceil(64), m)]
            {
                // Tiles of 64 × 64: 16 of the reduced axis a step between two barriers, or 32 after one.
                let (name, want) = if dtype == DType::F32 {
                    let arrivals = 2 * 256 * tiles * reduced.div_ceil(16);
                    (format!("matmul_{op}_f32"), [arrivals, 0])
                } else {
                    let steps = tiles * reduced.div_ceil(32);
                    (format!("matmul_{op}_small_bf16"), [128 * steps, 512 * steps])
                };
                let Work { barriers, copies, .. } = cuda.work(&name);
                assert_eq!([barriers, copies].map(|count| count as usize), want, "{name} {m}×{n}×{k}");
            }
        }
    }
    Ok(())
}

#[test]
fn lora_matmul_does_no_more_than_it_must() -> Result<()> {
    let (cuda, shape, r) = (device(DType::Bf16), MatmulShape { m: 1, n: 8, k: 16 }, 8);
    let stage = Stage::with_margin(&cuda, 16);
    let (x, a, b) = (stage.activations(&[1.0; 16])?, stage.floats(&[1.0; 8 * 16])?, stage.floats(&[1.0; 8 * 8])?);
    let weight = cuda.prepare_weight(8, 16, Host::F32(&[1.0; 8 * 16]), Storage::F32)?;
    let (mut xa, mut y) = (stage.activation_output(r)?, stage.activation_output(8)?);
    let lora = Lora { r, a: a.view(), b: b.view(), scale: 1.0 };
    let matrix = Matrix::Frozen(&weight);
    cuda.lora_forward(shape, x.view(), None, matrix, None, lora, xa.view_mut(), y.view_mut())?;
    // One step to the rank, one of the weight, and one of the adapter after it.
    let Work { barriers, copies, .. } = cuda.work("matmul_forward_small_bf16");
    assert_eq!([barriers, copies], [3 * 128, 3 * 512]);
    Ok(())
}

#[test]
fn nf4_does_no_more_than_it_must() -> Result<()> {
    let (cuda, n, k) = (device(DType::F32), 5, 64);
    let stage = Stage::with_margin(&cuda, 16);
    let matrix = Nf4Matrix { block_size: 64, codes: &[0x5a; 160], scales: Nf4Scales::Plain(&[1.0; 5]) };
    let weight = cuda.nf4_prepare(n, k, matrix)?;
    for (m, kernel, rows) in [(1, "nf4_gemv_one_f32", 1), (6, "nf4_gemv_few_f32", 8)] {
        let (x, mut y) = (stage.activations(&vec![1.0; m * k])?, stage.activation_output(m * n)?);
        cuda.matmul_forward(MatmulShape { m, n, k }, x.view(), Matrix::Frozen(&weight), None, y.view_mut())?;
        // Three warps for five features, each with the sums of two over its lanes for every row, of which four go together.
        assert_eq!(cuda.work(kernel).exchanges, 3 * 2 * rows * 5 * 32, "{kernel}");
    }
    Ok(())
}

#[test]
fn grouped_matmul_does_no_more_than_it_must() -> Result<()> {
    // As many groups as a warp has lanes: one round of counting.
    let (cuda, groups, m) = (device(DType::F32), 32, 64);
    let (stage, shape) = (Stage::with_margin(&cuda, 16), GroupedShape { m, groups, n: 8, k: 8 });
    let starts: Vec<i32> = (0..=32).map(|group| 2 * group).collect();
    let (x, w, starts) =
        (stage.activations(&vec![1.0; m * 8])?, stage.floats(&vec![1.0; groups * 64])?, stage.integers(&starts)?);
    let mut y = stage.activation_output(m * 8)?;
    cuda.grouped_forward(shape, x.view(), Stack::Trained(w.view()), starts.view(), y.view_mut())?;
    // Eight blocks, each with five shuffles, the sum's and a vote by one warp; then a tile of one step for each group.
    let want = Work { barriers: 256 * (8 + 32 * 3), exchanges: 8 * 32 * (5 + 1 + 1), copies: 0 };
    assert_eq!(cuda.work("grouped_forward_f32"), want);
    Ok(())
}

#[test]
fn router_does_no_more_than_it_must() -> Result<()> {
    for t in [1, 16, 100, 2200] {
        let (cuda, shape) = (device(DType::F32), RouterShape { t, experts: 5, top_k: 2, normalize: true });
        let stage = Stage::with_margin(&cuda, 16);
        let chosen: Vec<i32> = (0..2 * t).map(|slot| (slot % 5) as i32).collect();
        let (chosen, [tokens, places, starts]) =
            (stage.integers(&chosen)?, [2 * t, 2 * t, 6].map(|len| stage.integers(&vec![-1; len])));
        let (mut tokens, mut places, mut starts) = (tokens?, places?, starts?);
        cuda.router_group(shape, chosen.view(), tokens.view_mut(), places.view_mut(), starts.view_mut())?;
        // A block an expert: one barrier, and three ballots for each 32 slots.
        let want = Work { barriers: 5 * 1024, exchanges: (5 * 3 * 32 * (2 * t).div_ceil(32)) as u64, copies: 0 };
        assert_eq!(cuda.work("router_group"), want, "{t} tokens");
    }
    Ok(())
}
