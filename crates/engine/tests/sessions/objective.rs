//! Objectives: one pass where a loss is local to a token, two phases for all others.

// A helper that fails fails its test.
#![allow(clippy::unwrap_used)]

use tunesmith_cpu::Cpu;
use tunesmith_engine::{
    Asked, Engine, Objective, Session, SessionOptions, StepKey, TokenCoefficients, TokenValues, Update,
};
use tunesmith_formats::{AdapterConfig, ModuleNames};
use tunesmith_ops::{Code, IGNORE_INDEX};

use super::common::{Rows, VOCAB, adapter, lora, options, session, tensors, write_moved};

const KEY: StepKey = StepKey { seed: 4, step: 2 };
const MORE: Asked = Asked { log_sum_squares: true, mean_logit: true, ..Asked::DIFFERENTIABLE };

fn bits(gradients: Vec<(String, Vec<f32>)>) -> Vec<(String, Vec<u32>)> {
    gradients.into_iter().map(|(name, values)| (name, values.iter().map(|value| value.to_bits()).collect())).collect()
}

fn sessions() -> Vec<SessionOptions> {
    let dropping = AdapterConfig { lora_dropout: 0.3, ..AdapterConfig::default() };
    let adapters = [lora(ModuleNames::AllLinear), adapter(dropping), None];
    let both = |adapter: &Option<_>| {
        [false, true]
            .map(|gradient_checkpointing| SessionOptions { gradient_checkpointing, ..options(adapter.clone()) })
    };
    adapters.iter().flat_map(both).collect()
}

#[test]
fn two_phases_give_the_bits_of_one_pass() {
    let rows = Rows::new(&[9, 1, 30, 4], 11);
    let weights: Vec<f32> = (0..rows.ids.len()).map(|t| 0.25 + (t % 3) as f32).collect();
    let batch = tunesmith_engine::Batch { weights: Some(&weights), ..rows.batch() };
    let minus: Vec<f32> = weights.iter().map(|weight| -weight).collect();
    for options in sessions() {
        let mut model = session(2, &options).unwrap();
        let sums = model.accumulate(&batch, &Objective::default(), KEY).unwrap();
        let expected = bits(model.gradients().unwrap());
        model.clear_gradients().unwrap();

        let values = model.forward(&batch, KEY, Asked::default()).unwrap();
        let coefficients = TokenCoefficients { log_prob: Some(&minus), ..TokenCoefficients::default() };
        model.backward(&coefficients).unwrap();
        assert!(bits(model.gradients().unwrap()) == expected, "{options:?}");
        let loss: f64 = values.log_prob.iter().zip(&weights).map(|(log_prob, w)| -f64::from(log_prob * w)).sum();
        let total: f64 = sums.iter().map(|sum| sum.loss).sum();
        assert!((loss / total - 1.0).abs() < 1e-6, "{loss}, expected {total}");
    }
}

#[test]
fn values_are_those_of_the_logits_and_stand_at_their_labels() {
    let rows = Rows::new(&[5, 12], 3);
    let mut model = session(1, &SessionOptions { optimizer: None, ..options(None) }).unwrap();
    let logits = model.logits(&rows.batch()).unwrap();
    let values = model.log_probs(&rows.batch(), MORE).unwrap();
    let starts: Vec<usize> = rows.starts.iter().map(|start| *start as usize).collect();
    for t in 0..rows.ids.len() {
        let got = [&values.log_prob, &values.entropy, &values.log_sum_exp, &values.mean_log_prob].map(|all| all[t]);
        let more = [&values.log_sum_squares, &values.mean_logit].map(|all| all.as_ref().unwrap()[t]);
        if rows.labels[t] == IGNORE_INDEX || starts.contains(&t) {
            assert_eq!((got, more, values.hit[t]), ([0.0; 4], [0.0; 2], 0), "at {t}");
            continue;
        }
        let z: Vec<f64> = logits[(t - 1) * VOCAB..t * VOCAB].iter().map(|z| f64::from(*z)).collect();
        let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        let p: Vec<f64> = z.iter().map(|z| (z - lse).exp()).collect();
        let mean = z.iter().sum::<f64>() / VOCAB as f64;
        let entropy = -p.iter().zip(&z).map(|(p, z)| p * (z - lse)).sum::<f64>();
        let label = rows.labels[t] as usize;
        let expected = [z[label] - lse, entropy, lse, mean - lse];
        let extra = [p.iter().map(|p| p * p).sum::<f64>().ln(), mean];
        for (got, expected) in got.into_iter().chain(more).zip(expected.into_iter().chain(extra)) {
            assert!((f64::from(got) - expected).abs() < 1e-4, "at {t}: {got}, not {expected}");
        }
        let is_largest = z.iter().all(|other| *other <= z[label]);
        assert_eq!(values.hit[t] == 1, is_largest, "at {t}");
    }
}

/// A loss with a term in every value that takes a coefficient, and its derivative by each.
fn loss(values: &TokenValues) -> f64 {
    let sum = |all: &[f32], power: i32| all.iter().map(|value| f64::from(*value).powi(power)).sum::<f64>();
    -sum(&values.log_prob, 1) + 0.5 * sum(&values.log_prob, 2) - 0.7 * sum(&values.entropy, 1)
        + 0.1 * sum(&values.log_sum_exp, 2)
        + 0.3 * sum(&values.mean_log_prob, 1)
}

fn backward(model: &mut Session<Cpu>, values: &TokenValues) {
    let each = |all: &[f32], derivative: fn(f32) -> f32| all.iter().map(|value| derivative(*value)).collect::<Vec<_>>();
    let log_prob = each(&values.log_prob, |value| value - 1.0);
    let entropy = each(&values.entropy, |_| -0.7);
    let log_sum_exp = each(&values.log_sum_exp, |value| 0.2 * value);
    let mean_log_prob = each(&values.mean_log_prob, |_| 0.3);
    let coefficients = TokenCoefficients {
        log_prob: Some(&log_prob),
        entropy: Some(&entropy),
        log_sum_exp: Some(&log_sum_exp),
        mean_log_prob: Some(&mean_log_prob),
    };
    model.backward(&coefficients).unwrap();
}

#[test]
fn a_step_along_the_gradient_changes_a_loss_of_all_values_by_its_slope() {
    check_slope(Asked::DIFFERENTIABLE);
}

#[test]
fn so_it_does_at_a_temperature() {
    check_slope(Asked { temperature: Some(0.7), ..Asked::DIFFERENTIABLE });
}

fn check_slope(asked: Asked) {
    let rows = Rows::new(&[14, 9], 8);
    let mut model = session(1, &options(None)).unwrap();
    let values = model.forward(&rows.batch(), KEY, asked).unwrap();
    backward(&mut model, &values);
    let gradients = model.gradients().unwrap();
    let squared: f64 = gradients.iter().flat_map(|(_, values)| values).map(|g| f64::from(*g).powi(2)).sum();
    let step = 2e-3 / squared.sqrt();
    let dir = tempfile::tempdir().unwrap();
    model.save_checkpoint(dir.path()).unwrap();
    let file = dir.path().join("model.safetensors");
    let start = tensors(&file);
    let moved = [1.0, -1.0].map(|sign| {
        write_moved(&file, &start, &gradients, sign * step);
        model.load_checkpoint(dir.path()).unwrap();
        loss(&model.log_probs(&rows.batch(), asked).unwrap())
    });
    let slope = (moved[0] - moved[1]) / (2.0 * step);
    assert!((slope / squared - 1.0).abs() < 5e-3, "slope {slope}, gradient squared {squared}");
}

#[test]
fn a_temperature_divides_the_logits_and_one_of_1_changes_no_bit() {
    let rows = Rows::new(&[14, 9], 8);
    let mut model = session(1, &options(None)).unwrap();
    let asked = |temperature| Asked { temperature: Some(temperature), ..MORE };
    let plain = model.log_probs(&rows.batch(), MORE).unwrap();
    assert_eq!(model.log_probs(&rows.batch(), asked(1.0)).unwrap(), plain);
    let hot = model.log_probs(&rows.batch(), asked(4.0)).unwrap();
    // z/T, and the mean over the vocabulary of it, are those of z divided.
    let (means, hot_means) = (plain.mean_logit.as_ref().unwrap(), hot.mean_logit.as_ref().unwrap());
    for (mean, hot) in means.iter().zip(hot_means) {
        assert!((mean / 4.0 - hot).abs() < 1e-6, "{mean}, {hot}");
    }
    let logit = |values: &TokenValues, t: usize| values.log_prob[t] + values.log_sum_exp[t];
    for t in 0..rows.ids.len() {
        assert!((logit(&plain, t) / 4.0 - logit(&hot, t)).abs() < 1e-5, "at {t}");
        assert!(hot.entropy[t] >= plain.entropy[t], "at {t}");
    }
    for wrong in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let message = model.log_probs(&rows.batch(), asked(wrong)).unwrap_err().to_string();
        assert!(message.contains("logProbs.temperature"), "{message}");
        assert!(model.forward(&rows.batch(), KEY, asked(wrong)).is_err());
    }
}

#[test]
fn local_objectives_are_the_coefficients_of_their_values() {
    let rows = Rows::new(&[8, 16], 21);
    for (objective, of) in [
        (Objective::Nll { label_smoothing: 0.1, z_loss: 1e-2 }, smoothed as fn(&TokenValues) -> [Vec<f32>; 3]),
        (Objective::Dft {}, dft),
    ] {
        let mut model = session(2, &options(None)).unwrap();
        let sums = model.accumulate(&rows.batch(), &objective, KEY).unwrap();
        assert_eq!(sums, model.evaluate(&rows.batch(), &objective).unwrap());
        let expected = model.gradients().unwrap();
        model.clear_gradients().unwrap();
        let values = model.forward(&rows.batch(), KEY, Asked::DIFFERENTIABLE).unwrap();
        let [log_prob, log_sum_exp, mean] = of(&values);
        let coefficients = TokenCoefficients {
            log_prob: Some(&log_prob),
            entropy: None,
            log_sum_exp: Some(&log_sum_exp),
            mean_log_prob: Some(&mean),
        };
        model.backward(&coefficients).unwrap();
        for ((name, got), (_, expected)) in model.gradients().unwrap().iter().zip(&expected) {
            let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let worst = got.iter().zip(expected).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst <= 2e-6 * largest, "{objective:?} {name}: {worst} of {largest}");
        }
    }
}

fn smoothed(values: &TokenValues) -> [Vec<f32>; 3] {
    let n = values.log_prob.len();
    let log_sum_exp = values.log_sum_exp.iter().map(|value| 2e-2 * value).collect();
    [vec![-0.9; n], log_sum_exp, vec![-0.1; n]]
}

fn dft(values: &TokenValues) -> [Vec<f32>; 3] {
    let n = values.log_prob.len();
    [values.log_prob.iter().map(|value| -value.exp()).collect(), vec![0.0; n], vec![0.0; n]]
}

/// A call by name.
type Call = (&'static str, fn(&mut Session<Cpu>, &Rows));

/// Calls that change or use what a backward would need.
fn calls_in_between() -> [Call; 6] {
    [
        ("evaluate", |model, rows| drop(model.evaluate(&rows.batch(), &Objective::default()).unwrap())),
        ("log_probs", |model, rows| drop(model.log_probs(&rows.batch(), Asked::default()).unwrap())),
        ("accumulate", |model, rows| drop(model.accumulate(&rows.batch(), &Objective::default(), KEY).unwrap())),
        ("update", |model, _| {
            let update = Update { learning_rates: &[1e-3; 4], max_grad_norm: None, denominator: 1.0 };
            model.update(&update).unwrap();
        }),
        ("load_checkpoint", |model, _| {
            let dir = tempfile::tempdir().unwrap();
            model.save_checkpoint(dir.path()).unwrap();
            model.load_checkpoint(dir.path()).unwrap();
        }),
        ("set_gradient_checkpointing", |model, _| model.set_gradient_checkpointing(true)),
    ]
}

#[test]
fn backward_follows_its_forward_and_nothing_else() {
    let rows = Rows::new(&[6], 2);
    let coefficients = TokenCoefficients::default();
    let mut model = session(1, &options(None)).unwrap();
    let refused = |model: &mut Session<Cpu>| {
        let error = model.backward(&coefficients).unwrap_err();
        assert!(error.code == Code::ArgumentInvalid && error.to_string().contains("forward"), "{error}");
    };
    refused(&mut model);
    model.forward(&rows.batch(), KEY, Asked::default()).unwrap();
    model.backward(&coefficients).unwrap();
    refused(&mut model);
    for (name, call) in calls_in_between() {
        model.forward(&rows.batch(), KEY, Asked::default()).unwrap();
        call(&mut model, &rows);
        println!("{name}");
        refused(&mut model);
    }
    model.forward(&rows.batch(), KEY, Asked::default()).unwrap();
    let short = TokenCoefficients { entropy: Some(&[1.0]), ..coefficients };
    let error = model.backward(&short).unwrap_err().to_string();
    assert!(error.contains("backward.entropy") && error.contains('6'), "{error}");
    let mut inference = session(1, &SessionOptions { optimizer: None, ..options(None) }).unwrap();
    assert!(inference.forward(&rows.batch(), KEY, Asked::default()).is_err());
}

#[test]
fn a_batch_without_labels_has_values_of_zero_and_no_gradient() {
    let mut rows = Rows::new(&[4, 3], 2);
    rows.labels.fill(IGNORE_INDEX);
    let mut model = session(1, &options(None)).unwrap();
    let values = model.forward(&rows.batch(), KEY, MORE).unwrap();
    assert_eq!((values.log_prob, values.mean_logit), (vec![0.0; 7], Some(vec![0.0; 7])));
    model.backward(&TokenCoefficients::default()).unwrap();
    assert!(model.gradients().unwrap().iter().all(|(_, values)| values.iter().all(|value| *value == 0.0)));
}
