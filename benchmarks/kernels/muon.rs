//! Benchmark of `muon`, on an trained.

use tunesmith_ops::muon::workspace;
use tunesmith_ops::{Backend, DType, MuonStep, MuonTensor, MuonWorkspace, Result, ViewMut};

use crate::bench::{Bench, Work};

/// Times one step as torch.optim.Muon sets it.
pub fn run<B: Backend>(bench: &mut Bench<'_, B>) -> Result<()> {
    if !bench.wants("muon") {
        return Ok(());
    }
    let (backend, mut trained) = (bench.backend, bench.trained(1)?);
    let coefficients = [3.4445, -4.775, 2.0315];
    let step = MuonStep { momentum: 0.95, nesterov: true, coefficients, iterations: 5, epsilon: 1e-7 };
    let shapes = || trained.tensors.iter().map(|tensor| tensor.shape);
    let [activations, floats] = workspace(shapes().map(|[rows, columns]| [1, rows, columns]));
    let flops = |[rows, columns]: [usize; 2]| {
        let (short, long) = (rows.min(columns), rows.max(columns));
        step.iterations * 2 * short * short * (2 * long + short)
    };
    let work = Work::Flops(shapes().map(flops).sum());
    let mut room = [backend.zeros(backend.activation_dtype(), activations)?, backend.zeros(DType::F32, floats)?];
    bench.time("muon", work, || {
        let tensors = trained.tensors.iter_mut().filter_map(|tensor| {
            let [rows, columns] = tensor.shape;
            Some(MuonTensor {
                parameter: tensor.parameter.view_mut(),
                gradient: tensor.gradient.view(),
                momentum_buffer: tensor.states.first_mut()?.view_mut(),
                shape: [1, rows, columns],
                learning_rate: 1e-4,
                decay: 0.0,
            })
        });
        let mut tensors: Vec<_> = tensors.collect();
        let [first, second] = &mut room;
        let room =
            MuonWorkspace { activations: ViewMut::new(first, 0, activations), floats: ViewMut::new(second, 0, floats) };
        backend.muon(&step, &trained.norm, &mut tensors, room)
    })
}
