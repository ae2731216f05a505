//! Memory that runs out at any allocation of any call: a typed error, nothing left behind, and the same bits afterwards.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tunesmith_cpu::Cpu;
use tunesmith_engine::{
    Asked, Engine, Objective, Request, Session, SessionOptions, StepKey, TokenCoefficients, TokenEvent, Update,
};
use tunesmith_formats::{ModelConfig, ModuleNames, SafetensorsFile};
use tunesmith_ops::{Code, Error, Memory, Result};

use super::common::{Rows, config, lora, options, write_model};

const KEY: StepKey = StepKey { seed: 3, step: 1 };

/// The calls of a step and those around it, in their order; those before the update add to the gradient.
const CALLS: [&str; 7] = ["accumulate", "accumulate more", "two phases", "update", "evaluate", "values", "generate"];
const UPDATE: usize = 3;

fn call(session: &mut Session<Cpu>, number: usize) -> Result<()> {
    let [short, long, third] = [Rows::new(&[5, 9], 1), Rows::new(&[33, 12], 2), Rows::new(&[21], 3)];
    let asked = Asked { log_sum_exp: true, ..Asked::default() };
    match CALLS[number] {
        "accumulate" => session.accumulate(&short.batch(), &Objective::default(), KEY).map(drop),
        "accumulate more" => session.accumulate(&long.batch(), &Objective::default(), KEY).map(drop),
        "two phases" => {
            let values = session.forward(&third.batch(), KEY, asked)?;
            let slopes = vec![-0.5; values.log_prob.len()];
            session.backward(&TokenCoefficients { log_prob: Some(&slopes), ..TokenCoefficients::default() })
        }
        "update" => {
            let step = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 40.0 };
            session.update(&step).map(drop)
        }
        "evaluate" => session.evaluate(&long.batch(), &Objective::default()).map(drop),
        "values" => session.log_probs(&long.batch(), asked).map(drop),
        _ => {
            let request = Request {
                prompts: vec![vec![1, 2, 3]; 2],
                samples: 2,
                max_new_tokens: 4,
                log_probs: true,
                slots: Some(3),
                ..Request::default()
            };
            session.generate(&request, &mut |_: TokenEvent| ControlFlow::Continue(()))
        }
    }
}

fn create(cpu: &Arc<Cpu>, model: &Path, options: &SessionOptions) -> Result<Session<Cpu>> {
    let source = SafetensorsFile::open(model)?;
    let config = ModelConfig::from_json(Path::new("config.json"), config())?;
    Session::new(Arc::clone(cpu), config, &source, "tiny", options)
}

/// The bits of what is trained after all calls, and the bytes in use then.
fn end(cpu: &Cpu, session: &Session<Cpu>) -> (Vec<Vec<u32>>, usize) {
    let values = session.parameters().read_all(cpu).unwrap();
    (values.into_iter().map(|one| one.into_iter().map(f32::to_bits).collect()).collect(), cpu.memory_stats().in_use)
}

fn assert_out_of_memory(error: &Error) {
    assert_eq!(error.code, Code::OutOfMemory, "{error}");
    for part in ["bytes, got none", "in use", "at peak", "gradientCheckpointing"] {
        assert!(error.message.contains(part), "{part} in {error}");
    }
}

/// A session whose call `number` finds no memory at its allocation `nth`, and that goes on after it as a caller would;
/// none where the call asks for memory less often.
fn survives(cpu: &Arc<Cpu>, mut session: Session<Cpu>, number: usize, nth: usize) -> Option<Session<Cpu>> {
    for before in 0..number {
        call(&mut session, before).unwrap();
    }
    let before = session.gradients().unwrap();
    cpu.refuse_allocation(nth);
    let outcome = call(&mut session, number);
    cpu.refuse_allocation(usize::MAX);
    assert_out_of_memory(&outcome.err()?);
    let mut again = number;
    if number < UPDATE {
        // Without a denominator no update is taken, but what is said first tells whether it would be.
        let step = Update { learning_rates: &[1e-2; 4], max_grad_norm: None, denominator: 0.0 };
        let refusal = session.update(&step).expect_err("no denominator");
        if refusal.message.contains("discardGradient") {
            session.discard_gradient().unwrap();
            again = 0;
        } else {
            assert_eq!(session.gradients().unwrap(), before, "a part of a batch would reach the weights");
        }
    }
    for after in again..CALLS.len() {
        call(&mut session, after).unwrap();
    }
    Some(session)
}

#[test]
fn any_allocation_of_any_call_may_fail() {
    let dir = tempfile::tempdir().unwrap();
    write_model(dir.path(), None);
    let model = dir.path().join("model.safetensors");
    let cpu = Arc::new(Cpu::new(1).unwrap());
    let mut cases = 0;
    for (adapter, gradient_checkpointing) in [(lora(ModuleNames::AllLinear), false), (None, true)] {
        let options = SessionOptions { gradient_checkpointing, ..options(adapter) };
        for nth in 0.. {
            cpu.refuse_allocation(nth);
            let created = create(&cpu, &model, &options);
            cpu.refuse_allocation(usize::MAX);
            let Err(error) = created else { break };
            assert_out_of_memory(&error);
            assert_eq!(cpu.memory_stats().in_use, 0, "after allocation {nth} of loading");
            cases += 1;
        }
        let mut unbroken = create(&cpu, &model, &options).unwrap();
        for number in 0..CALLS.len() {
            call(&mut unbroken, number).unwrap();
        }
        let expected = end(&cpu, &unbroken);
        drop(unbroken);
        for (number, name) in CALLS.iter().enumerate() {
            for nth in 0.. {
                let session = create(&cpu, &model, &options).unwrap();
                let Some(session) = survives(&cpu, session, number, nth) else { break };
                assert!(end(&cpu, &session) == expected, "after allocation {nth} of {name}");
                cases += 1;
            }
        }
    }
    println!("tried {cases}: every allocation of loading, training, evaluating and generating refused once");
    assert!(cases > 100, "{cases} allocations");
    assert_eq!(cpu.memory_stats().in_use, 0);
}
