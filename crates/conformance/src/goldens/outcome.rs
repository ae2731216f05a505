//! The result of one check, as it is printed.

use serde_json::{Value, json};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within tolerance.
    Passed,
    /// Outside tolerance, or an error where none was expected.
    Failed,
    /// The family or feature is not implemented.
    Unsupported,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Folder and check, such as `goldens/llama/lora/grads`.
    pub case: String,
    /// Largest error, in the tolerance's measure.
    pub error: f64,
    /// What was allowed.
    pub tolerance: f64,
    /// Verdict.
    pub verdict: Verdict,
    /// Why, where the numbers do not say it.
    pub note: String,
}

impl Outcome {
    /// Compares an error with its tolerance. NaN fails.
    pub fn measured(case: &str, error: f64, tolerance: f64) -> Self {
        let verdict = if error <= tolerance { Verdict::Passed } else { Verdict::Failed };
        Self { case: case.to_owned(), error, tolerance, verdict, note: String::new() }
    }

    /// Something the engine does not implement.
    pub fn unsupported(case: &str, note: &str) -> Self {
        Self { case: case.to_owned(), error: 0.0, tolerance: 0.0, verdict: Verdict::Unsupported, note: note.to_owned() }
    }

    /// A case that could not be carried out.
    pub fn broken(case: &str, note: &str) -> Self {
        Self {
            case: case.to_owned(),
            error: f64::INFINITY,
            tolerance: 0.0,
            verdict: Verdict::Failed,
            note: note.to_owned(),
        }
    }

    /// One JSON object.
    pub fn to_json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Unsupported => "unsupported",
        };
        // JSON has no infinity; null stands for an error that is not a number.
        json!({ "case": self.case, "error": self.error, "tolerance": self.tolerance, "verdict": verdict, "note": self.note })
    }
}
