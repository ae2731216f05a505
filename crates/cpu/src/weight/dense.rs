//! Frozen weights in panels.

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use tunesmith_ops::matmul::check_host;
use tunesmith_ops::{Host, Result, Storage};

use crate::buffer::Block;
use crate::product::{PANEL, Right, Source, Transpose};
use crate::simd::Isa;
use crate::{Cpu, scratch};

/// Steps of `k` that are turned at a time when a weight is taken.
const FILL: usize = 256;

/// Panel `p` holds rows `32 p .. 32 p + 32` as `[k][32]`, rows beyond `n` zero.
pub(crate) struct Panels {
    storage: Storage,
    block: Block,
    /// Elements, those of rows beyond `n` included.
    padded: usize,
}

impl Panels {
    /// Takes a row-major matrix `[n, k]` from the host, panel by panel.
    pub(crate) fn new(cpu: &Cpu, n: usize, k: usize, host: Host<'_>, storage: Storage) -> Result<Self> {
        check_host(n, k, host, true)?;
        let padded = n.div_ceil(PANEL) * PANEL * k;
        let mut block = Block::zeroed(&cpu.tracker, padded * element_size(storage))?;
        let panel = (PANEL * k).max(1);
        match storage {
            Storage::F32 => {
                let panels = block.as_mut_slice::<f32>(padded).chunks_exact_mut(panel);
                let keep = |run: &[f32], target: &mut [f32]| target.copy_from_slice(run);
                cpu.pool.each(panels, |p, target| fill(cpu.isa, host, (n, k), p, target, keep))?;
            }
            Storage::Bf16 => {
                let panels = block.as_mut_slice::<u16>(padded).chunks_exact_mut(panel);
                let keep = |run: &[f32], target: &mut [u16]| {
                    target.reinterpret_cast_mut::<bf16>().convert_from_f32_slice(run);
                };
                cpu.pool.each(panels, |p, target| fill(cpu.isa, host, (n, k), p, target, keep))?;
            }
        }
        Ok(Self { storage, block, padded })
    }

    /// How the elements are held.
    pub(crate) fn storage(&self) -> Storage {
        self.storage
    }

    /// As products read it.
    pub(crate) fn source(&self) -> Source<'_> {
        match self.storage {
            Storage::F32 => Source::Panels(self.block.as_slice(self.padded)),
            Storage::Bf16 => Source::Bf16Panels(self.block.as_slice(self.padded)),
        }
    }
}

fn element_size(storage: Storage) -> usize {
    match storage {
        Storage::F32 => size_of::<f32>(),
        Storage::Bf16 => size_of::<u16>(),
    }
}

/// Writes panel `p` of a host matrix, a few steps of `k` at a time; `keep` takes a run of elements into the storage.
fn fill<T>(
    isa: Isa,
    host: Host<'_>,
    (n, k): (usize, usize),
    p: usize,
    target: &mut [T],
    keep: impl Fn(&[f32], &mut [T]),
) {
    let rows = p * PANEL..n.min((p + 1) * PANEL);
    let mut memory = scratch::take(2 * PANEL * FILL);
    let (wide, turned) = memory.split_at_mut(PANEL * FILL);
    for (first, target) in (0..k).step_by(FILL).zip(target.chunks_mut(PANEL * FILL)) {
        let columns = FILL.min(k - first);
        for (row, r) in wide.chunks_exact_mut(FILL).zip(rows.clone()) {
            let range = r * k + first..r * k + first + columns;
            match host {
                Host::F32(v) => row[..columns].copy_from_slice(&v[range]),
                Host::F16(v) => v[range].reinterpret_cast::<f16>().convert_to_f32_slice(&mut row[..columns]),
                Host::Bf16(v) => v[range].reinterpret_cast::<bf16>().convert_to_f32_slice(&mut row[..columns]),
                Host::I32(_) | Host::U8(_) => {}
            }
        }
        isa.run(Transpose {
            source: Right::new(wide, FILL),
            rows: rows.len(),
            columns,
            target: turned,
            stride: PANEL,
            width: PANEL,
        });
        keep(&turned[..columns * PANEL], target);
    }
}
