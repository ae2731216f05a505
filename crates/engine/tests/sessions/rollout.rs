//! Generation in the middle of training: what it leaves, how samples end, and how it fails.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use tunesmith_cpu::Cpu;
use tunesmith_engine::{
    Engine, Finish, Objective, OptimizerOptions, Request, Sampling, ScheduleFreeOptions, Session, SessionOptions,
    StepKey, TokenEvent, TokenSink, Update,
};
use tunesmith_formats::ModuleNames;
use tunesmith_ops::Code;

use super::common::{Rows, VOCAB, lora, options, session};

fn request() -> Request {
    Request {
        prompts: vec![vec![3, 1, 4, 1, 5], vec![9], vec![2, 6, 5, 3, 5, 8, 9, 7, 9, 3]],
        samples: 3,
        max_new_tokens: 11,
        sampling: Sampling { temperature: 1.0, seed: 2, ..Sampling::default() },
        log_probs: true,
        slots: Some(4),
        ..Request::default()
    }
}

type Answers = BTreeMap<(usize, usize), Vec<(i32, u32, Option<Finish>)>>;

/// Takes everything until `limit` tokens have come; samples of `ended` are not wanted after so many tokens each.
#[derive(Default)]
struct Taken {
    answers: Answers,
    limit: Option<usize>,
    ended: BTreeMap<(usize, usize), usize>,
    asked: BTreeSet<(usize, usize)>,
    count: usize,
}

impl TokenSink for Taken {
    fn take(&mut self, event: TokenEvent) -> ControlFlow<()> {
        let bits = event.log_prob.map_or(0, f32::to_bits);
        self.answers.entry((event.index, event.sample)).or_default().push((event.token, bits, event.finish));
        self.count += 1;
        if self.limit == Some(self.count) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn has_ended(&mut self, index: usize, sample: usize) -> bool {
        self.asked.insert((index, sample));
        let written = self.answers.get(&(index, sample)).map_or(0, Vec::len);
        self.ended.get(&(index, sample)).is_some_and(|end| written >= *end)
    }
}

fn take(model: &mut Session<Cpu>, request: &Request) -> Answers {
    let mut taken = Taken::default();
    model.generate(request, &mut taken).unwrap();
    taken.answers
}

fn step(model: &mut Session<Cpu>, number: u64) {
    let rows = Rows::new(&[20, 11], number);
    model.accumulate(&rows.batch(), &Objective::default(), StepKey { seed: 3, step: number }).unwrap();
    let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 20.0 };
    assert!(model.update(&update).unwrap().applied);
}

fn bits(model: &Session<Cpu>) -> Vec<Vec<u32>> {
    let values = model.parameters().read_all(&Cpu::new(1).unwrap()).unwrap();
    values.into_iter().map(|one| one.into_iter().map(f32::to_bits).collect()).collect()
}

/// Sessions that train an adapter, the whole model, and a mean that generation answers with.
fn kinds() -> Vec<SessionOptions> {
    let mean = OptimizerOptions::ScheduleFree(ScheduleFreeOptions {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        r: 0.5,
        weight_lr_power: 2.0,
    });
    let adapter = || options(lora(ModuleNames::AllLinear));
    vec![
        adapter(),
        SessionOptions { gradient_checkpointing: true, ..options(None) },
        SessionOptions { optimizer: Some(mean), ..adapter() },
    ]
}

#[test]
fn training_goes_on_to_the_bit_as_if_nothing_had_been_generated() {
    for options in kinds() {
        let (mut with, mut without) = (session(2, &options).unwrap(), session(2, &options).unwrap());
        let mut answers = Vec::new();
        for number in 1..5 {
            step(&mut without, number);
            let rows = Rows::new(&[20, 11], number);
            // In the middle of a step as well: a gradient that is summed stays what it is.
            answers.push(take(&mut with, &request()));
            with.accumulate(&rows.batch(), &Objective::default(), StepKey { seed: 3, step: number }).unwrap();
            if options.optimizer == Some(super::common::OPTIMIZER) {
                answers.push(take(&mut with, &request()));
            }
            let update = Update { learning_rates: &[1e-2; 4], max_grad_norm: Some(1.0), denominator: 20.0 };
            assert!(with.update(&update).unwrap().applied);
        }
        assert!(bits(&with) == bits(&without));
        assert_ne!(answers.first(), answers.last(), "answers are of the weights that are being trained");
        assert_eq!(take(&mut with, &request()), take(&mut without, &request()));
    }
}

#[test]
fn a_stop_in_the_middle_leaves_the_session_as_it_was() {
    let mut model = session(2, &options(lora(ModuleNames::AllLinear))).unwrap();
    let all = take(&mut model, &request());
    assert_eq!(all.len(), 9);
    for limit in [1, 5, 40] {
        let mut taken = Taken { limit: Some(limit), ..Taken::default() };
        model.generate(&request(), &mut taken).unwrap();
        assert_eq!(taken.count, limit, "no token after the one in hand");
        for (key, answer) in &taken.answers {
            assert_eq!(answer[..], all[key][..answer.len()]);
        }
        assert_eq!(take(&mut model, &request()), all);
    }
}

#[test]
fn a_sample_that_is_ended_gets_no_further_token_and_changes_no_other() {
    let mut model = session(2, &options(lora(ModuleNames::AllLinear))).unwrap();
    let all = take(&mut model, &request());
    // The first of a group, whose slot the others begin from, right after its first token; one before its first.
    let ended = BTreeMap::from([((0, 0), 1), ((1, 2), 4), ((2, 0), 0), ((2, 2), 11)]);
    for slots in [1, 2, 9] {
        let mut taken = Taken { ended: ended.clone(), ..Taken::default() };
        model.generate(&Request { slots: Some(slots), ..request() }, &mut taken).unwrap();
        assert_eq!(taken.asked.len(), 9);
        for (key, answer) in &all {
            let wanted = ended.get(key).copied().unwrap_or(answer.len());
            let got = taken.answers.get(key).map_or(&[][..], Vec::as_slice);
            assert_eq!(got, &answer[..wanted], "{key:?} with {slots} slots");
        }
    }
}

#[test]
fn samples_differ_and_the_first_is_what_one_alone_is() {
    let mut model = session(1, &options(None)).unwrap();
    let all = take(&mut model, &request());
    let alone = take(&mut model, &Request { samples: 1, ..request() });
    for ((prompt, sample), answer) in &all {
        assert_eq!(*sample == 0, alone[&(*prompt, 0)] == *answer, "{prompt} {sample}");
    }
    let greedy = Request { sampling: Sampling::default(), ..request() };
    let same = take(&mut model, &greedy);
    assert!((0..3).all(|prompt| same[&(prompt, 0)] == same[&(prompt, 1)]), "greedy samples are one answer");
}

#[test]
fn what_cannot_be_generated_is_refused_by_name() {
    let mut model = session(1, &options(None)).unwrap();
    for (place, wrong) in [
        ("generate.numReturnSequences", Request { samples: 0, ..request() }),
        ("generate.maxNumSeqs", Request { slots: Some(0), ..request() }),
        ("generate.prompts[1]", Request { prompts: vec![vec![1], vec![]], ..request() }),
        ("generate.prompts[0]", Request { prompts: vec![vec![VOCAB as i32]], ..request() }),
    ] {
        let error = model.generate(&wrong, &mut Taken::default()).unwrap_err();
        assert_eq!((error.code, error.place.as_str()), (Code::ArgumentInvalid, place));
    }
    let nothing = Request { max_new_tokens: 0, ..request() };
    assert!(take(&mut model, &nothing).is_empty());
}
