//! Suite of `elementwise`.

use tunesmith_ops::elementwise::reference;
use tunesmith_ops::{Columns, Elementwise, Result};

use crate::inputs::wide;
use crate::{Record, Stage};

/// Edge sizes of the contract.
const SIZES: [usize; 6] = [0, 1, 15, 16, 17, 4099];

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Elementwise>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    for len in SIZES {
        let (x, y) = (stage.round(inputs.normal(len)), stage.round(inputs.normal(len)));
        let (mut staged_x, mut staged_y) = (stage.activations(&x)?, stage.activations(&y)?);
        stage.backend.add(staged_x.view(), staged_y.view_mut())?;
        let want = reference::add(&wide(&x), &wide(&y));
        record.compare(format!("add {len}"), &stage.read(&staged_y)?, &want, stage.tolerance(1e-6, 4e-3));
        stage.backend.scale(-0.22, staged_x.view_mut())?;
        let want: Vec<_> = wide(&x).iter().map(|x| x * f64::from(-0.22_f32)).collect();
        record.compare(format!("scale {len}"), &stage.read(&staged_x)?, &want, stage.tolerance(1e-6, 4e-3));
        // Trained values are float32 whatever activations are.
        let (x, y) = (inputs.normal(len), inputs.normal(len));
        let (staged_x, mut staged_y) = (stage.floats(&x)?, stage.floats(&y)?);
        stage.backend.add(staged_x.view(), staged_y.view_mut())?;
        stage.backend.scale(0.7, staged_y.view_mut())?;
        let want: Vec<_> = reference::add(&wide(&x), &wide(&y)).iter().map(|y| y * f64::from(0.7_f32)).collect();
        record.compare(format!("add and scale {len} in float32"), &stage.read(&staged_y)?, &want, 1e-6);
    }
    for (m, n) in [(0, 17), (1, 1), (15, 16), (256, 15), (257, 17), (4099, 65), (17, 4099), (3, 0)] {
        let (x, y) = (stage.round(inputs.normal(m * n)), inputs.normal(n));
        let (staged_x, mut staged_y) = (stage.activations(&x)?, stage.floats(&y)?);
        stage.backend.sum_rows(m, n, staged_x.view(), staged_y.view_mut())?;
        let want = reference::add(&wide(&y), &reference::sum_rows(n, &wide(&x)));
        record.compare(format!("sum_rows {m}×{n}"), &stage.read(&staged_y)?, &want, 1e-5);
    }
    for (m, width) in [(0, 17), (1, 1), (15, 16), (257, 17), (3, 4099), (17, 0)] {
        let (from, to) = (Columns { stride: width + 5, start: 2 }, Columns { stride: width + 16, start: 15 });
        let (x, y) = (stage.round(inputs.normal(m * from.stride)), stage.round(inputs.normal(m * to.stride)));
        let (staged_x, mut staged_y) = (stage.activations(&x)?, stage.activations(&y)?);
        stage.backend.copy_columns(m, width, staged_x.view(), from, staged_y.view_mut(), to)?;
        let want = reference::copy_columns(m, width, &wide(&x), from, &wide(&y), to);
        record.compare(format!("copy_columns {m}×{width}"), &stage.read(&staged_y)?, &want, 0.0);
    }
    let (x, mut y) = (stage.activations(&[1.0; 4])?, stage.activations(&[1.0; 5])?);
    record.refused("add of unequal lengths", &stage.backend.add(x.view(), y.view_mut()));
    let mut sums = stage.floats(&[1.0; 5])?;
    let outcome = stage.backend.sum_rows(2, 2, x.view(), sums.view_mut());
    record.refused("sum_rows into another length", &outcome);
    for (start, stride) in [(1, 2), (usize::MAX, 2), (0, 3)] {
        let from = Columns { stride, start };
        let to = Columns { stride: 2, start: 0 };
        let outcome = stage.backend.copy_columns(2, 2, x.view(), from, y.view_mut(), to);
        record.refused(format!("copy_columns of 2 from {start} of {stride}"), &outcome);
    }
    Ok(())
}
