//! Suite of `rope`.

use tunesmith_ops::rope::reference;
use tunesmith_ops::{Backend, Result, Rotation};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = Inputs::new(seed);
    for h in [2_usize, 16, 64, 128] {
        for t in [0_usize, 1, 257] {
            for rotation in [Rotation::Forward, Rotation::Backward] {
                let heads = 3;
                let x = inputs.normal(t * heads * h);
                let mut positions = inputs.integers(t, 1 << 16);
                positions.iter_mut().take(1).for_each(|p| *p = 0);
                let inv_freq: Vec<f32> = (0..h / 2).map(|i| 10_000_f32.powf(-2.0 * i as f32 / h as f32)).collect();
                let mut staged = stage.floats(&x)?;
                stage.backend.rope(
                    t,
                    heads,
                    h,
                    staged.view_mut(),
                    stage.integers(&positions)?.view(),
                    stage.floats(&inv_freq)?.view(),
                    1.25,
                    rotation,
                )?;
                let want = reference::rope(heads, h, &wide(&x), &positions, &inv_freq, 1.25, rotation);
                let name = format!("rope {t}×{heads}×{h} {rotation:?}");
                record.compare(name, &stage.read(&staged)?, &want, 2e-6);
            }
        }
    }
    let (mut x, positions) = (stage.floats(&[1.0; 9])?, stage.integers(&[0, 1, 2])?);
    let outcome = stage.backend.rope(
        3,
        1,
        3,
        x.view_mut(),
        positions.view(),
        stage.floats(&[1.0])?.view(),
        1.0,
        Rotation::Forward,
    );
    record.refused("rope of an odd head", &outcome);
    Ok(())
}
