//! A comparison: first steps checked for equal losses and gradients, then steps in turn, then one JSON line a program.

use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::scenario::{Scenario, Workload, amount};
use crate::side::{Side, Taken};

/// How two programs may differ in the first step of a workload.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Of the mean loss, nats.
    pub loss: f64,
    /// Of the gradient's norm, relative.
    pub grad_norm: f64,
}

/// How long a workload is measured.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Steps of each program after the first.
    pub steps: usize,
    /// Seconds after which no further round begins.
    pub seconds: f64,
}

/// A program with what it has given in the workload at hand.
struct Track<'a> {
    side: &'a mut dyn Side,
    first: Option<Taken>,
    steps: Vec<Taken>,
    error: Option<String>,
    driver_bytes: Option<u64>,
}

impl Track<'_> {
    fn step(&mut self, index: usize) {
        if self.error.is_some() {
            return;
        }
        match self.side.step(index) {
            Err(error) => self.error = Some(error),
            Ok(taken) if self.first.is_none() => self.first = Some(taken),
            Ok(taken) => self.steps.push(taken),
        }
    }
}

/// Measures one workload of a scenario and prints its lines. True when nothing failed.
pub fn workload(
    scenario: &Scenario,
    index: usize,
    sides: &mut [Box<dyn Side + '_>],
    tolerance: Tolerance,
    patience: Patience,
    emit: &mut dyn FnMut(Value),
) -> bool {
    let work = &scenario.workloads[index];
    let mut tracks: Vec<Track<'_>> = sides
        .iter_mut()
        .map(|side| Track { side: side.as_mut(), first: None, steps: Vec::new(), error: None, driver_bytes: None })
        .collect();
    let begun = Instant::now();
    if work.interleaved {
        for track in &mut tracks {
            track.error = track.side.begin(index).err();
        }
        rounds(&mut tracks, patience, begun);
    } else {
        let share = Patience { seconds: patience.seconds / tracks.len() as f64, ..patience };
        for turn in 0..tracks.len() {
            tracks[turn].error = tracks[turn].side.begin(index).err();
            rounds(&mut tracks[turn..=turn], share, Instant::now());
            // What it held is given back before the next one begins.
            let released = tracks[turn].side.release();
            tracks[turn].error = tracks[turn].error.take().or(released.err());
        }
    }
    report(scenario, work, &mut tracks, tolerance, emit)
}

fn rounds(tracks: &mut [Track<'_>], patience: Patience, begun: Instant) {
    for step in 0..=patience.steps {
        if step > 2 && begun.elapsed().as_secs_f64() > patience.seconds {
            break;
        }
        for track in &mut *tracks {
            track.step(step);
        }
    }
    for track in tracks {
        track.driver_bytes = driver_bytes(track.side.process());
    }
}

/// The two first steps against each other: none when they agree.
fn difference(a: Taken, b: Taken, tolerance: Tolerance) -> Option<String> {
    let (loss, norm) = ((a.loss - b.loss).abs(), (a.grad_norm / b.grad_norm - 1.0).abs());
    let equal = loss <= tolerance.loss && norm <= tolerance.grad_norm;
    (!equal).then(|| {
        format!(
            "expected equal first steps, got losses {:.5} and {:.5}, gradient norms {:.5} and {:.5}",
            a.loss, b.loss, a.grad_norm, b.grad_norm
        )
    })
}

fn report(
    scenario: &Scenario,
    work: &Workload,
    tracks: &mut [Track<'_>],
    tolerance: Tolerance,
    emit: &mut dyn FnMut(Value),
) -> bool {
    let ours = tracks.first().and_then(|track| track.first);
    let mut whole = true;
    for track in tracks {
        let mut line = json!({
            "part": "training", "scenario": scenario.model.name, "workload": work.name, "side": track.side.name(),
            "gradient_checkpointing": work.gradient_checkpointing, "interleaved": work.interleaved,
        });
        let differs = match (ours, track.first) {
            (Some(a), Some(b)) => difference(a, b, tolerance),
            _ => None,
        };
        if let Some(first) = track.first {
            line["first_loss"] = json!(first.loss);
            line["first_grad_norm"] = json!(first.grad_norm);
        }
        if let (Some(a), Some(b)) = (ours, track.first) {
            line["first_loss_difference"] = json!((a.loss - b.loss).abs());
            line["first_grad_norm_difference"] = json!((a.grad_norm / b.grad_norm - 1.0).abs());
        }
        if let Some(last) = track.steps.last() {
            line["last_loss"] = json!(last.loss);
        }
        // A speed with another loss means nothing, and is not printed.
        if let Some(error) = track.error.take().or(differs) {
            line["error"] = json!(error);
            whole = false;
        } else {
            speed(&mut line, scenario, work, track);
        }
        emit(line);
    }
    whole
}

fn speed(line: &mut Value, scenario: &Scenario, work: &Workload, track: &mut Track<'_>) {
    let each: Vec<_> = (1..=track.steps.len())
        .map(|step| amount(&scenario.model, &work.steps[step % work.steps.len()]))
        .zip(&track.steps)
        .collect();
    let quantiles = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
        json!({ "p20": at(0.2), "median": at(0.5), "p80": at(0.8) })
    };
    if !each.is_empty() {
        line["step_ms"] = quantiles(each.iter().map(|(_, taken)| taken.seconds * 1e3).collect());
        line["useful_tokens_per_second"] = quantiles(each.iter().map(|(n, t)| n.tokens as f64 / t.seconds).collect());
        line["supervised_tokens_per_second"] =
            quantiles(each.iter().map(|(n, t)| n.supervised as f64 / t.seconds).collect());
        line["flops_per_second"] = quantiles(each.iter().map(|(n, t)| n.flops as f64 / t.seconds).collect());
    }
    line["steps"] = json!(each.len());
    line["first_step_seconds"] = json!(track.first.map(|first| first.seconds));
    line["peak_bytes"] = json!(track.side.peak().ok().map(|peak| peak.peak_bytes));
    line["driver_bytes"] = json!(track.driver_bytes);
    let facts = track.side.facts();
    let [process, generate] = ["process_seconds", "generate_seconds"].map(|key| facts[key].as_f64());
    // Making random weights is no part of loading a model, and nothing is loaded from a disk here.
    if let (Some(process), Some(generate), Some(first)) = (process, generate, track.first) {
        line["seconds_to_first_step"] = json!(process - generate + first.seconds);
    }
    line["start"] = facts.clone();
}

/// Memory of a process as the driver counts it; none where `nvidia-smi` does not say.
fn driver_bytes(process: u32) -> Option<u64> {
    let arguments = ["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"];
    let output = Command::new("nvidia-smi").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| {
        let (pid, mebibytes) = line.split_once(',')?;
        (pid.trim().parse() == Ok(process)).then(|| mebibytes.trim().parse::<u64>().ok().map(|n| n << 20))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(f64, u32);

    impl Side for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn process(&self) -> u32 {
            0
        }
        fn facts(&self) -> &Value {
            &Value::Null
        }
        fn begin(&mut self, _: usize) -> Result<(), String> {
            Ok(())
        }
        fn step(&mut self, _: usize) -> Result<Taken, String> {
            self.1 += 1;
            if self.1 > 100 {
                Err("out of memory".to_owned())
            } else {
                Ok(Taken { loss: self.0, grad_norm: 1.0, seconds: 0.5 })
            }
        }
        fn release(&mut self) -> Result<(), String> {
            Ok(())
        }
        fn peak(&mut self) -> Result<crate::side::Peak, String> {
            Ok(crate::side::Peak { peak_bytes: 1 })
        }
    }

    fn lines(losses: [(f64, u32); 2]) -> (bool, Vec<Value>) {
        let scenario = crate::scenario::named("qwen2.5-0.5b-lora", true).expect("a scenario");
        let mut sides: Vec<Box<dyn Side>> =
            losses.map(|(loss, steps)| Box::new(Fake(loss, steps)) as Box<dyn Side>).into();
        let mut lines = Vec::new();
        let tolerance = Tolerance { loss: 1e-3, grad_norm: 1e-2 };
        let patience = Patience { steps: 4, seconds: 60.0 };
        let whole = workload(&scenario, 0, &mut sides, tolerance, patience, &mut |line| lines.push(line));
        (whole, lines)
    }

    #[test]
    fn a_speed_is_printed_beside_an_equal_loss_only() {
        let (whole, equal) = lines([(2.0, 0), (2.0005, 0)]);
        assert!(
            whole && equal.iter().all(|line| line["step_ms"]["median"] == json!(500.0) && line["steps"] == json!(4))
        );
        let (whole, unequal) = lines([(2.0, 0), (2.1, 0)]);
        assert!(!whole && unequal[0]["step_ms"].is_object() && unequal[1]["step_ms"].is_null());
        assert!(unequal[1]["error"].as_str().is_some_and(|error| error.contains("equal first steps")));
        assert!(
            difference(
                Taken { loss: f64::NAN, grad_norm: 1.0, seconds: 1.0 },
                Taken { loss: 1.0, grad_norm: 1.0, seconds: 1.0 },
                Tolerance { loss: 1.0, grad_norm: 1.0 }
            )
            .is_some()
        );
    }

    #[test]
    fn a_program_that_breaks_is_a_line_and_the_other_goes_on() {
        let (whole, lines) = lines([(2.0, 0), (2.0, 98)]);
        assert!(!whole && lines[0]["steps"] == json!(4) && lines[1]["error"] == json!("out of memory"));
    }
}
