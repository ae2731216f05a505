//! `adafactor`: launches of `kernels/adafactor.cu`.

use tunesmith_ops::{Adafactor, AdafactorStep, AdafactorTensor, DType, Host, Memory as _, Result, View, ViewMut};

use crate::Cuda;
use crate::device::{Address, Buffer, Structure};
use crate::grad_norm::Norm;

const THREADS: usize = 256;

/// Rows of a block of the sums over rows, one a warp.
const WARPS: usize = 8;

/// Rows of a chunk of the sums down columns, and elements of a piece.
const CHUNK: usize = 256;
const PIECE: usize = 4096;

/// Shared memory of two sums over the block in float64.
const SCRATCH: usize = 2 * WARPS * 8;

/// How many pieces of each kind a tensor has.
#[derive(Debug, Clone, Copy)]
struct Counts {
    rows: usize,
    columns: usize,
    column_moments: usize,
    matrices: usize,
    flat: usize,
}

impl Counts {
    fn of(tensor: &AdafactorTensor<'_, Buffer>) -> Self {
        let [e, n, k] = tensor.shape;
        let stripes = k.div_ceil(THREADS);
        if e * n * k == 0 {
            return Self { rows: 0, columns: 0, column_moments: 0, matrices: 0, flat: 0 };
        }
        Self {
            rows: if tensor.row_moment.is_some() { (e * n).div_ceil(WARPS) } else { 0 },
            columns: e * n.div_ceil(CHUNK) * stripes,
            column_moments: e * stripes,
            matrices: e,
            flat: (e * n * k).div_ceil(PIECE),
        }
    }
}

/// What the launches leave to each other: places in one buffer of float32, in words of 8 bytes where float64 is meant.
#[derive(Debug, Default)]
struct Places {
    len: usize,
}

impl Places {
    /// The place of so many bytes, on 8 of them.
    fn take(&mut self, bytes: usize) -> usize {
        let at = self.len;
        self.len += bytes.next_multiple_of(8);
        at
    }
}

/// A tensor's words, its scratch in a buffer that begins at `base`.
fn words(tensor: &AdafactorTensor<'_, Buffer>, places: &mut Places, base: Address) -> Result<Vec<u64>> {
    let [e, n, k] = tensor.shape;
    let address = |view: &ViewMut<'_, Buffer>| view.buffer.address_of(view.start);
    let (chunks, pieces) = (n.div_ceil(CHUNK), Counts::of(tensor).flat);
    let mut scratch = |bytes: usize| base + places.take(bytes) as Address;
    Structure::default()
        .pointer(address(&tensor.parameter))
        .pointer(tensor.gradient.buffer.address_of(tensor.gradient.start))
        .pointer(tensor.row_moment.as_ref().map_or(0, address))
        .pointer(address(&tensor.column_moment))
        .pointer(tensor.first_moment.as_ref().map_or(0, address))
        .pointer(scratch(4 * e * n))
        .pointer(scratch(4 * e * k))
        .pointer(scratch(4 * e * chunks * k))
        .pointer(scratch(8 * pieces))
        .pointer(scratch(8 * pieces))
        .pointer(scratch(8))
        .long(e * n * k)
        .int(n)
        .int(k)
        .int(chunks)
        .int(pieces)
        .float(tensor.learning_rate as f32)
        .float(tensor.weight_decay as f32)
        .finish()
}

impl Cuda {
    /// A table of pieces, so many for each tensor, and its length.
    fn piece_table(&self, counts: &[Counts], of: impl Fn(&Counts) -> usize) -> Result<(Buffer, usize)> {
        let of_tensor = |(index, counts)| (0..of(counts)).flat_map(move |piece| [index as i32, piece as i32]);
        let words: Vec<i32> = counts.iter().enumerate().flat_map(of_tensor).collect();
        Ok((self.upload(Host::I32(&words))?, words.len() / 2))
    }

    /// The table of tensors, and the buffer that their scratch is in.
    fn adafactor_table(&self, tensors: &[&AdafactorTensor<'_, Buffer>]) -> Result<[Buffer; 2]> {
        let mut places = Places::default();
        tensors.iter().try_for_each(|tensor| words(tensor, &mut places, 0).map(drop))?;
        let scratch = self.undefined(DType::F32, places.len / 4)?;
        let (base, mut places) = (scratch.address_of(0), Places::default());
        let mut table = Vec::new();
        for tensor in tensors {
            table.extend(
                words(tensor, &mut places, base)?.into_iter().flat_map(|word| [word as i32, (word >> 32) as i32]),
            );
        }
        Ok([self.upload(Host::I32(&table))?, scratch])
    }
}

impl Adafactor for Cuda {
    fn adafactor(&self, step: &AdafactorStep, norm: &Norm, tensors: &mut [AdafactorTensor<'_, Buffer>]) -> Result<()> {
        tensors.iter().try_for_each(|tensor| tensor.check(step))?;
        let tensors: Vec<_> = tensors.iter().filter(|tensor| tensor.parameter.len > 0).collect();
        let counts: Vec<_> = tensors.iter().map(|tensor| Counts::of(tensor)).collect();
        let [table, _scratch] = self.adafactor_table(&tensors)?;
        let [kept, taken] = [step.kept(), 1.0 - step.kept()].map(|x| x as f32);
        let launch = |kernel, pieces: &(Buffer, usize)| {
            let launch = self.launch(kernel).blocks(pieces.1, THREADS as u32).shared(SCRATCH);
            launch.read(table.view()).read(View::new(&pieces.0, 0, 2 * pieces.1)).read(norm.words.view())
        };
        let pieces = |of: fn(&Counts) -> usize| self.piece_table(&counts, of);
        let (rows, columns) = (pieces(|counts| counts.rows)?, pieces(|counts| counts.columns)?);
        let (moments, matrices) = (pieces(|counts| counts.column_moments)?, pieces(|counts| counts.matrices)?);
        let flat = pieces(|counts| counts.flat)?;
        let epsilon = step.epsilon[0] as f32;
        launch("adafactor_rows", &rows).float(kept).float(taken).float(epsilon).run()?;
        launch("adafactor_columns", &columns).run()?;
        launch("adafactor_column_moments", &moments).float(kept).float(taken).float(epsilon).run()?;
        launch("adafactor_row_factors", &matrices).run()?;
        launch("adafactor_sums", &flat).flag(step.scale_parameter).run()?;
        let rates = self.launch("adafactor_rates").blocks(tensors.len(), THREADS as u32).shared(SCRATCH);
        let least = if step.scale_parameter { step.epsilon[1] } else { -1.0 };
        rates.read(table.view()).read(norm.words.view()).double(step.clip_threshold).double(least).run()?;
        let beta1 = step.beta1.unwrap_or(0.0);
        launch("adafactor_move", &flat).float(beta1 as f32).float((1.0 - beta1) as f32).run()
    }
}
