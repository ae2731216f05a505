//! Suite of `embedding`.

use half::bf16;
use tunesmith_ops::embedding::reference;
use tunesmith_ops::{Embedding, Host, Matrix, Result, Storage};

use crate::inputs::wide;
use crate::{Record, Stage};

/// Runs the suite.
///
/// # Errors
/// What the backend fails with where the contract says it must not.
pub fn suite<B: Embedding>(stage: &Stage<'_, B>, seed: u64, record: &mut Record) -> Result<()> {
    let mut inputs = stage.inputs(seed);
    let b = stage.backend;
    // The last: more ids than a backend may sort at once.
    for (v, d, n) in [(33, 17, 0), (1, 16, 1), (70, 1, 257), (33, 130, 257), (512, 64, 300), (97, 3, 2500)] {
        let (table, start) = (stage.round(inputs.normal(v * d)), stage.round(inputs.normal(v * d)));
        let mut ids = inputs.integers(n, v);
        if n > 2 {
            (ids[0], ids[1], ids[2]) = (0, v as i32 - 1, 0);
        }
        let dy = stage.round(inputs.normal(n * d));
        let (staged_ids, staged_table) = (stage.integers(&ids)?, stage.floats(&table)?);
        let hidden = stage.activations(&table)?;
        let frozen = b.prepare_weight(v, d, Host::F32(&table), Storage::F32)?;
        let half = b.prepare_weight(v, d, Host::F32(&table), Storage::Bf16)?;
        let half_table: Vec<f32> = table.iter().map(|&x| bf16::from_f32(x).to_f32()).collect();
        for (kind, matrix, table) in [
            ("frozen", Matrix::Frozen(&frozen), &table),
            ("bf16", Matrix::Frozen(&half), &half_table),
            ("trained", Matrix::Trained(staged_table.view()), &table),
            ("activations", Matrix::Trained(hidden.view()), &table),
        ] {
            let mut y = stage.activation_output(n * d)?;
            b.embedding_forward(v, d, matrix, staged_ids.view(), y.view_mut())?;
            let want = reference::forward(d, &wide(table), &ids);
            record.compare(format!("embedding_forward {v}×{d} {n} {kind}"), &stage.read(&y)?, &want, 0.0);
        }
        let dy_staged = stage.activations(&dy)?;
        let mut want = reference::backward(v, d, &wide(&dy), &ids);
        want.iter_mut().zip(&start).for_each(|(w, &s)| *w += f64::from(s));
        let (trained, hidden) = (stage.floats(&start)?, stage.activations(&start)?);
        for (kind, mut dtable, tolerance) in
            [("trained", trained, 1e-6), ("activations", hidden, stage.tolerance(1e-6, 4e-3))]
        {
            b.embedding_backward(v, d, dy_staged.view(), staged_ids.view(), dtable.view_mut())?;
            record.compare(format!("embedding_backward {v}×{d} {n} {kind}"), &stage.read(&dtable)?, &want, tolerance);
        }
    }
    ids_out_of_range(stage, record)
}

/// Ids beyond the table: refused, or, by a device that does not see them, marked in the output and left out of the gradient.
fn ids_out_of_range<B: Embedding>(stage: &Stage<'_, B>, record: &mut Record) -> Result<()> {
    let b = stage.backend;
    let (table, mut y) = (stage.floats(&[0.0; 8])?, stage.activation_output(4)?);
    for id in [-1, 2] {
        let ids = stage.integers(&[id])?;
        let outcome = b.embedding_forward(2, 4, Matrix::Trained(table.view()), ids.view(), y.view_mut());
        let (name, got) = (format!("embedding of id {id} in 2 rows"), stage.read(&y)?);
        if outcome.is_ok() {
            // A device that does not see the ids marks the row.
            record.compare(name, &got, &[f64::NAN; 4], 0.0);
        } else {
            record.refused(name, &outcome);
        }
        // Its gradient goes nowhere.
        let (ids, dy) = (stage.integers(&[0, id, 0])?, stage.activations(&[1.0; 12])?);
        let mut dtable = stage.floats(&[0.5; 8])?;
        let outcome = b.embedding_backward(2, 4, dy.view(), ids.view(), dtable.view_mut());
        let name = format!("embedding_backward of id {id} in 2 rows");
        if outcome.is_ok() {
            let want = [2.5, 2.5, 2.5, 2.5, 0.5, 0.5, 0.5, 0.5];
            record.compare(name, &stage.read(&dtable)?, &want, 0.0);
        } else {
            record.refused(name, &outcome);
        }
    }
    Ok(())
}
