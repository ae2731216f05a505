//! Suite of `rope`.

use tunesmith_ops::rope::reference;
use tunesmith_ops::{Result, Rope, RopeShape, Rotation};

use crate::inputs::wide;
use crate::{Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Rope>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for (h, rotary) in [(2, 2), (2, 0), (16, 16), (16, 8), (64, 64), (128, 128), (128, 64), (80, 32)] {
        for t in [0_usize, 1, 257] {
            for rotation in [Rotation::Forward, Rotation::Backward] {
                let heads = 3;
                let x = stage.round(inputs.normal(t * heads * h));
                let mut positions = inputs.integers(t, 1 << 16);
                positions.iter_mut().take(1).for_each(|p| *p = 0);
                let frequency = |i: usize| 10_000_f32.powf(-2.0 * i as f32 / rotary as f32);
                let inv_freq: Vec<f32> = (0..rotary / 2).map(frequency).collect();
                let shape = RopeShape { t, heads, h, rotary };
                let mut staged = stage.activations(&x)?;
                stage.backend.rope(
                    shape,
                    staged.view_mut(),
                    stage.integers(&positions)?.view(),
                    stage.floats(&inv_freq)?.view(),
                    1.25,
                    rotation,
                )?;
                let want = reference::rope(shape, &wide(&x), &positions, &inv_freq, 1.25, rotation);
                let name = format!("rope {t}×{heads}×{h} of which {rotary} {rotation:?}");
                record.compare(name, &stage.read(&staged)?, &want, stage.tolerance(2e-6, 4e-3));
            }
        }
    }
    let (mut x, positions) = (stage.activations(&[1.0; 9])?, stage.integers(&[0, 1, 2])?);
    for rotary in [3, 4] {
        let outcome = stage.backend.rope(
            RopeShape { t: 3, heads: 1, h: 3, rotary },
            x.view_mut(),
            positions.view(),
            stage.floats(&vec![1.0; rotary / 2])?.view(),
            1.0,
            Rotation::Forward,
        );
        record.refused(format!("rope of {rotary} elements in a head of 3"), &outcome);
    }
    Ok(())
}
