//! What a run found.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use tunesmith_ops::{Code, Result};

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Op, sizes and output.
    pub name: String,
    /// Largest difference, relative to the largest value of the reference; infinite where it cannot be compared.
    pub error: f64,
    /// Largest error the contract allows.
    pub tolerance: f64,
    /// Hash of the output's bits.
    pub digest: u64,
}

impl Case {
    /// True when the contract holds.
    pub fn passed(&self) -> bool {
        self.error <= self.tolerance
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        write!(f, "{} {:.1e} of {:.1e} {verdict}", self.name, self.error, self.tolerance)
    }
}

/// All comparisons of a run, in order.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The comparisons.
    pub cases: Vec<Case>,
    strict: bool,
}

impl Record {
    /// A record that panics at the first case that breaks the contract: for runs that only ask whether one does.
    pub fn strict() -> Self {
        Self { cases: Vec::new(), strict: true }
    }

    /// Compares an output with its reference: largest difference relative to the reference's largest value. Where the
    /// reference is not finite the output must not be finite either.
    pub fn compare(&mut self, name: impl fmt::Display, got: &[f32], want: &[f64], tolerance: f64) {
        self.compare_to(largest(want), name, got, want, tolerance);
    }

    /// Compares the outputs of one call, each relative to the largest value of all: one of them may be nothing but the
    /// rounding left of terms that cancel. An output is its name, what was got and what was wanted.
    pub fn compare_all(&mut self, name: &str, outputs: &[(&str, &[f32], &[f64])], tolerance: f64) {
        let scale = outputs.iter().map(|(_, _, want)| largest(want)).fold(0.0, f64::max);
        for (output, got, want) in outputs {
            self.compare_to(scale, format!("{name} {output}"), got, want, tolerance);
        }
    }

    fn compare_to(&mut self, scale: f64, name: impl fmt::Display, got: &[f32], want: &[f64], tolerance: f64) {
        let difference = |(&g, &w): (&f32, &f64)| match (g.is_finite(), w.is_finite()) {
            (true, true) => (f64::from(g) - w).abs(),
            (false, false) => 0.0,
            _ => f64::INFINITY,
        };
        let worst = got.iter().zip(want).map(difference).fold(0.0, f64::max);
        let error = match worst {
            _ if got.len() != want.len() => f64::INFINITY,
            0.0 => 0.0,
            worst => worst / scale,
        };
        self.measured(name, error, tolerance, got);
    }

    /// Notes whether two outputs are equal to the bit; one NaN is as good as another.
    pub fn same(&mut self, name: impl fmt::Display, got: &[f32], want: &[f32]) {
        let equal = got.len() == want.len()
            && got.iter().zip(want).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
        self.measured(name, if equal { 0.0 } else { f64::INFINITY }, 0.0, got);
    }

    /// Notes whether a call that breaks the contract was refused as such.
    pub fn refused<T>(&mut self, name: impl fmt::Display, outcome: &Result<T>) {
        let refused = matches!(outcome, Err(e) if e.code == Code::ArgumentInvalid);
        self.measured(name, if refused { 0.0 } else { f64::INFINITY }, 0.0, &[]);
    }

    /// Notes an error that the caller has measured itself; `got` goes into the digest.
    ///
    /// # Panics
    /// When the case breaks the contract and the record is a strict one.
    pub fn measured(&mut self, name: impl fmt::Display, error: f64, tolerance: f64, got: &[f32]) {
        let mut hasher = DefaultHasher::new();
        for x in got {
            x.to_bits().hash(&mut hasher);
        }
        let case = Case { name: name.to_string(), error, tolerance, digest: hasher.finish() };
        assert!(!self.strict || case.passed(), "{case}");
        self.cases.push(case);
    }

    /// Cases that break the contract.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.cases.iter().filter(|case| !case.passed());
        failed.map(ToString::to_string).collect()
    }

    /// Names of the cases whose bits differ from another run's.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.cases.iter().zip(&other.cases);
        let mut names: Vec<_> =
            pairs.filter(|(a, b)| a.name != b.name || a.digest != b.digest).map(|(a, _)| a.name.clone()).collect();
        if self.cases.len() != other.cases.len() {
            names.push(format!("{} cases against {}", self.cases.len(), other.cases.len()));
        }
        names
    }
}

/// The largest finite magnitude.
fn largest(x: &[f64]) -> f64 {
    let finite = x.iter().filter(|x| x.is_finite());
    finite.fold(0.0, |a, x| a.max(x.abs()))
}
