//! Benchmark of `adafactor`, on an trained.

use tunesmith_ops::{AdafactorStep, AdafactorTensor, Backend, DType, Result, ViewMut};

use crate::bench::{Bench, Work};

/// Times one step as transformers' Trainer sets it.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("adafactor") {
        return Ok(());
    }
    let (backend, mut trained) = (bench.backend, bench.trained(0)?);
    let mut moments = Vec::new();
    for tensor in &trained.tensors {
        let [rows, columns] = tensor.shape;
        moments.push([backend.zeros(DType::F32, rows)?, backend.zeros(DType::F32, columns)?]);
    }
    let step = AdafactorStep {
        step: 2,
        decay_rate: -0.8,
        epsilon: [1e-30, 1e-3],
        clip_threshold: 1.0,
        beta1: None,
        scale_parameter: false,
    };
    // Moments, size and update read the gradient once each; the parameter is read and written.
    bench.time("adafactor", Work::Bytes(5 * 4 * trained.elements), || {
        let tensors = trained.tensors.iter_mut().zip(&mut moments).map(|(tensor, [row, column])| {
            let [rows, columns] = tensor.shape;
            AdafactorTensor {
                parameter: tensor.parameter.view_mut(),
                gradient: tensor.gradient.view(),
                shape: [1, rows, columns],
                row_moment: Some(ViewMut::new(row, 0, rows)),
                column_moment: ViewMut::new(column, 0, columns),
                first_moment: None,
                learning_rate: 1e-4,
                weight_decay: 0.0,
            }
        });
        backend.adafactor(&step, &trained.norm, &mut tensors.collect::<Vec<_>>())
    })
}
