//! Residual dropout: a mask that belongs to a row, a step and a block, is drawn in training passes alone, and is recomputed as it was.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use tunesmith_cpu::Cpu;
use tunesmith_engine::{
    Asked, Batch, Engine, Objective, Request, Session, SessionOptions, StepKey, TokenCoefficients, TokenEvent,
};
use tunesmith_formats::ModuleNames;
use tunesmith_ops::Code;

use super::common::{
    Rows, a_row_draws_by_its_number_and_the_step, evaluated, gradient_bits, lora, losses, options, session, tensors,
    write_moved,
};

const KEY: StepKey = StepKey { seed: 3, step: 1 };

fn dropping(resid_pdrop: f64) -> SessionOptions {
    SessionOptions { resid_pdrop, ..options(lora(ModuleNames::AllLinear)) }
}

#[test]
fn a_row_has_one_mask_whatever_it_is_packed_with() {
    a_row_draws_by_its_number_and_the_step(&dropping(0.2));
}

#[test]
fn evaluation_and_generation_drop_nothing_and_0_is_none() {
    let rows = Rows::new(&[12, 5], 2);
    let mut model = session(1, &dropping(0.5)).unwrap();
    let mut without = session(1, &dropping(0.0)).unwrap();
    let plain = losses(&mut without, &rows, KEY);
    assert_ne!(losses(&mut model, &rows, KEY), plain);
    assert_eq!(evaluated(&mut model, &rows), plain);
    let written = |model: &mut Session<Cpu>| {
        let request = Request { prompts: vec![vec![1, 2, 3], vec![7; 9]], max_new_tokens: 12, ..Request::default() };
        let mut tokens = Vec::new();
        let mut emit = |event: TokenEvent| {
            tokens.push((event.index, event.token));
            std::ops::ControlFlow::Continue(())
        };
        model.generate(&request, &mut emit).unwrap();
        tokens
    };
    assert_eq!(written(&mut model), written(&mut without));
}

#[test]
fn the_expected_value_stays_and_the_share_is_what_was_asked_for() {
    // Over many steps the mean loss is near that of no dropout, and nearer the less is dropped.
    let rows = Rows::new(&[20, 20], 5);
    let plain = losses(&mut session(1, &dropping(0.0)).unwrap(), &rows, KEY)[0];
    let mean = |p: f64| {
        let mut model = session(1, &dropping(p)).unwrap();
        (1..=60).map(|step| losses(&mut model, &rows, StepKey { step, ..KEY })[0]).sum::<f64>() / 60.0
    };
    let [little, much] = [0.02, 0.4].map(|p| (mean(p) - plain).abs());
    assert!(little < 0.02 * plain, "{little} of {plain}");
    assert!(much > little, "{much}, {little}");
}

#[test]
fn recomputation_and_threads_and_two_phases_change_no_bit() {
    let rows = Rows::new(&[25, 40], 3);
    for adapted in [true, false] {
        let run = |threads: usize, gradient_checkpointing: bool, two_phases: bool| {
            let adapter = if adapted { lora(ModuleNames::AllLinear) } else { None };
            let with = SessionOptions { gradient_checkpointing, resid_pdrop: 0.3, ..options(adapter) };
            let mut model = session(threads, &with).unwrap();
            if two_phases {
                model.forward(&rows.batch(), KEY, Asked::default()).unwrap();
                let minus = vec![-1.0; rows.ids.len()];
                model.backward(&TokenCoefficients { log_prob: Some(&minus), ..TokenCoefficients::default() }).unwrap();
            } else {
                losses(&mut model, &rows, KEY);
            }
            gradient_bits(&model)
        };
        let expected = run(1, false, false);
        for (threads, checkpointing, two_phases) in [(1, true, false), (2, false, true), (4, true, true)] {
            assert!(run(threads, checkpointing, two_phases) == expected, "{threads}, {checkpointing}, {two_phases}");
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_loss_with_its_mask() {
    let rows = Rows::new(&[9, 6], 4);
    let mut model = session(1, &SessionOptions { resid_pdrop: 0.3, ..options(None) }).unwrap();
    losses(&mut model, &rows, KEY);
    let gradients = model.gradients().unwrap();
    // A step along the gradient with plain numbers: two losses a distance apart give its squared norm.
    let squared: f64 = gradients.iter().flat_map(|(_, g)| g).map(|g| f64::from(*g).powi(2)).sum();
    let distance = 2e-3 / squared.sqrt();
    let dir = tempfile::tempdir().unwrap();
    model.save_checkpoint(dir.path()).unwrap();
    let start = tensors(&dir.path().join("model.safetensors"));
    let moved = [1.0, -1.0].map(|sign| {
        write_moved(&dir.path().join("model.safetensors"), &start, &gradients, sign * distance);
        model.load_checkpoint(dir.path()).unwrap();
        losses(&mut model, &rows, KEY).iter().sum::<f64>()
    });
    let slope = (moved[0] - moved[1]) / (2.0 * distance);
    assert!((slope / squared - 1.0).abs() < 2e-3, "slope {slope}, squared norm {squared}");
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    for p in [-0.1, 1.0, f64::NAN] {
        let error = session(1, &dropping(p)).err().unwrap();
        assert_eq!((error.code, error.place.as_str()), (Code::ArgumentInvalid, "session.residPdrop"), "{error}");
    }
    let rows = Rows::new(&[9], 1);
    let nameless = Batch { row_ids: None, ..rows.batch() };
    let error = session(1, &dropping(0.1)).unwrap().accumulate(&nameless, &Objective::default(), KEY).unwrap_err();
    assert!(error.code == Code::ArgumentInvalid && error.place.ends_with("rowIds"), "{error}");
}
