//! NEFTune: noise that belongs to a row and its length, is drawn in training passes alone, and is recomputed as it was.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use tunesmith_engine::{Asked, Batch, Engine, Objective, SessionOptions, StepKey, TokenCoefficients};
use tunesmith_formats::ModuleNames;
use tunesmith_ops::Code;

use super::common::{
    Rows, a_row_draws_by_its_number_and_the_step, evaluated, gradient_bits, lora, losses, options, session,
};

const KEY: StepKey = StepKey { seed: 3, step: 1 };

fn noisy(neftune_noise_alpha: Option<f64>) -> SessionOptions {
    SessionOptions { neftune_noise_alpha, ..options(lora(ModuleNames::AllLinear)) }
}

#[test]
fn a_row_has_one_noise_whatever_it_is_packed_with() {
    a_row_draws_by_its_number_and_the_step(&noisy(Some(5.0)));
}

#[test]
fn evaluation_has_none_and_alpha_0_is_none() {
    let rows = Rows::new(&[12, 5], 2);
    let mut model = session(1, &noisy(Some(5.0))).unwrap();
    let plain = losses(&mut session(1, &noisy(None)).unwrap(), &rows, KEY);
    assert_eq!(evaluated(&mut model, &rows), plain);
    assert_ne!(losses(&mut model, &rows, KEY), plain);
    assert_eq!(losses(&mut session(1, &noisy(Some(0.0))).unwrap(), &rows, KEY), plain);
}

#[test]
fn recomputation_and_threads_and_two_phases_change_no_bit() {
    let rows = Rows::new(&[25, 40], 3);
    let run = |threads: usize, gradient_checkpointing: bool, two_phases: bool| {
        let mut model = session(threads, &SessionOptions { gradient_checkpointing, ..noisy(Some(9.0)) }).unwrap();
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

#[test]
fn what_is_wrong_is_refused_by_name() {
    for alpha in [-1.0, f64::NAN, f64::INFINITY] {
        let error = session(1, &noisy(Some(alpha))).err().unwrap();
        assert_eq!((error.code, error.place.as_str()), (Code::ArgumentInvalid, "session.neftuneNoiseAlpha"), "{error}");
    }
    let rows = Rows::new(&[9], 1);
    let mut model = session(1, &noisy(Some(5.0))).unwrap();
    let nameless = Batch { row_ids: None, ..rows.batch() };
    let error = model.accumulate(&nameless, &Objective::default(), KEY).unwrap_err();
    assert!(error.code == Code::ArgumentInvalid && error.place.ends_with("rowIds"), "{error}");
    let error = model.accumulate_with_noise(&rows.batch(), &Objective::default(), &[0.0; 3]).unwrap_err();
    assert!(error.code == Code::ArgumentInvalid && error.message.contains("got 3"), "{error}");
}
