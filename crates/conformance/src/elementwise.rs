//! Suite of `elementwise`.

use tunesmith_ops::elementwise::reference;
use tunesmith_ops::{Backend, Result};

use crate::inputs::wide;
use crate::{Inputs, Record, Stage};

/// Edge sizes of the contract.
const SIZES: [usize; 6] = [0, 1, 15, 16, 17, 4099];

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Backend>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = Inputs::new(seed);
    for len in SIZES {
        let (x, y) = (inputs.normal(len), inputs.normal(len));
        let (staged_x, mut staged_y) = (stage.floats(&x)?, stage.floats(&y)?);
        stage.backend.add(staged_x.view(), staged_y.view_mut())?;
        let want = reference::add(&wide(&x), &wide(&y));
        record.compare(format!("add {len}"), &stage.read(&staged_y)?, &want, 1e-6);
    }
    for (m, n) in [(0, 17), (1, 1), (15, 16), (256, 15), (257, 17), (4099, 65), (17, 4099), (3, 0)] {
        let (x, y) = (inputs.normal(m * n), inputs.normal(n));
        let (staged_x, mut staged_y) = (stage.floats(&x)?, stage.floats(&y)?);
        stage.backend.sum_rows(m, n, staged_x.view(), staged_y.view_mut())?;
        let want = reference::add(&wide(&y), &reference::sum_rows(n, &wide(&x)));
        record.compare(format!("sum_rows {m}×{n}"), &stage.read(&staged_y)?, &want, 1e-5);
    }
    let (x, mut y) = (stage.floats(&[1.0; 4])?, stage.floats(&[1.0; 5])?);
    record.refused("add of unequal lengths", &stage.backend.add(x.view(), y.view_mut()));
    let outcome = stage.backend.sum_rows(2, 2, x.view(), y.view_mut());
    record.refused("sum_rows into another length", &outcome);
    Ok(())
}
