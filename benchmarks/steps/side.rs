//! One program of a comparison, driven step by step: ours in this process, a peer in its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

/// What one step gave.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Taken {
    /// Mean over the supervised tokens of the step.
    pub loss: f64,
    /// Of the mean's gradient, before clipping.
    pub grad_norm: f64,
    /// Wall time of the step, the device waited for.
    pub seconds: f64,
}

/// Bytes at their highest since the program began, as its own allocator counts them.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Peak {
    /// The allocator's figure.
    pub peak_bytes: u64,
}

/// What both kinds of programs do. An error is a sentence for the results.
pub trait Side {
    /// Name in results.
    fn name(&self) -> &str;
    /// Process, for the driver's own count of its memory.
    fn process(&self) -> u32;
    /// Facts about the start: seconds of loading and of making weights, what it is made of.
    fn facts(&self) -> &Value;
    /// Prepares for a workload of the scenario.
    fn begin(&mut self, workload: usize) -> Result<(), String>;
    /// Takes one of its steps.
    fn step(&mut self, index: usize) -> Result<Taken, String>;
    /// Gives back what it does not need to hold.
    fn release(&mut self) -> Result<(), String>;
    /// Memory at its highest.
    fn peak(&mut self) -> Result<Peak, String>;
}

/// A program that answers one JSON line for each JSON line.
pub struct Peer {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    facts: Value,
}

impl Peer {
    /// Starts `command` (words divided by spaces) with the file that says what is trained.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(name: &str, command: &str, spec: &Path) -> Result<Self, String> {
        let mut words = command.split_whitespace();
        let program = words.next().ok_or("expected a command, got none")?;
        let mut child = Command::new(program)
            .args(words)
            .arg(spec)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let (input, output) =
            (child.stdin.take(), child.stdout.take().ok_or("expected its standard output, got none")?);
        Ok(Self { name: name.to_owned(), child, input, output: BufReader::new(output), facts: Value::Null })
    }

    /// Waits until it is ready: several start side by side.
    ///
    /// # Errors
    /// Why it cannot take part, in its own words.
    pub fn ready(mut self) -> Result<Self, String> {
        self.facts = self.answer()?;
        Ok(self)
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).map_err(|error| error.to_string())? > 0 {
            // Libraries print to standard output as they please; only a line of JSON with an event is an answer.
            match serde_json::from_str::<Value>(&line) {
                Ok(answer) if answer["event"] == "error" => return Err(answer["error"].to_string()),
                Ok(answer) if answer["event"].is_string() => return Ok(answer),
                _ => line.clear(),
            }
        }
        Err("ended before it answered".to_owned())
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let input = self.input.as_mut().ok_or("has been closed")?;
        writeln!(input, "{request}").and_then(|()| input.flush()).map_err(|error| error.to_string())?;
        self.answer()
    }
}

impl Side for Peer {
    fn name(&self) -> &str {
        &self.name
    }

    fn process(&self) -> u32 {
        self.child.id()
    }

    fn facts(&self) -> &Value {
        &self.facts
    }

    fn begin(&mut self, workload: usize) -> Result<(), String> {
        self.ask(&json!({ "do": "begin", "workload": workload })).map(drop)
    }

    fn step(&mut self, index: usize) -> Result<Taken, String> {
        let answer = self.ask(&json!({ "do": "step", "index": index }))?;
        Taken::deserialize(answer).map_err(|error| error.to_string())
    }

    fn release(&mut self) -> Result<(), String> {
        self.ask(&json!({ "do": "release" })).map(drop)
    }

    fn peak(&mut self) -> Result<Peak, String> {
        let answer = self.ask(&json!({ "do": "peak" }))?;
        Peak::deserialize(answer).map_err(|error| error.to_string())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input ends it; one that broke is ended here.
        self.input = None;
        let begun = Instant::now();
        while begun.elapsed().as_secs() < 5 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
