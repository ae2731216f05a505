//! `cross_entropy`: rows handed out to the threads, their values collected.

mod row;

use tunesmith_ops::{
    Coefficients, CrossEntropy, Error, IGNORE_INDEX, LocalObjective, LogitTransform, Result, RowGradient, RowValues,
    View, ViewMut,
};

use crate::buffer::Buffer;
use crate::{Cpu, check};
use row::{Outcome, Row};

/// What takes the place of the logits, checked.
enum Asked<'a> {
    Nothing,
    Local { objective: LocalObjective, weights: &'a [f32] },
    Coefficients(Coefficients<&'a [f32]>),
}

impl<'a> Asked<'a> {
    fn checked(op: &str, gradient: RowGradient<'a, Buffer>, m: usize) -> Result<Self> {
        Ok(match gradient {
            RowGradient::None => Self::Nothing,
            RowGradient::Local { objective, weights } => {
                objective.check(op)?;
                Self::Local { objective, weights: check::floats(op, "weights", weights, m)? }
            }
            RowGradient::Coefficients(coefficients) => {
                Self::Coefficients(coefficients.try_map(|name, view| check::floats(op, name, view, m))?)
            }
        })
    }

    /// What is asked of row `i`.
    fn of_row(&self, i: usize) -> row::Asked {
        match self {
            Self::Nothing => row::Asked::Nothing,
            Self::Local { objective, weights } => {
                row::Asked::Local { objective: *objective, weight: f64::from(weights[i]) }
            }
            Self::Coefficients(of) => {
                let at = |values: Option<&[f32]>| values.map(|values| f64::from(values[i]));
                row::Asked::Coefficients(Coefficients {
                    log_prob: at(of.log_prob),
                    entropy: at(of.entropy),
                    log_sum_exp: at(of.log_sum_exp),
                    mean_log_prob: at(of.mean_log_prob),
                })
            }
        }
    }
}

impl CrossEntropy for Cpu {
    fn cross_entropy(
        &self,
        m: usize,
        v: usize,
        transform: LogitTransform,
        logits: ViewMut<'_, Buffer>,
        labels: View<'_, Buffer>,
        gradient: RowGradient<'_, Buffer>,
        values: RowValues<'_, Buffer>,
    ) -> Result<()> {
        let op = "cross_entropy";
        if v == 0 {
            return Err(Error::argument(op, "at least one logit a row", v));
        }
        transform.check(op)?;
        let logits = check::floats_mut(op, "logits", logits, m * v)?;
        let labels = check::integers(op, "labels", labels, m)?;
        let asked = Asked::checked(op, gradient, m)?;
        let more = values.asks_for_more();
        let mut targets = Vec::new();
        for (value, (name, view)) in values.named().into_iter().enumerate() {
            if let Some(view) = view {
                targets.push((value, check::floats_mut(op, name, view, m)?));
            }
        }
        let known = |label: i32| label == IGNORE_INDEX || usize::try_from(label).is_ok_and(|l| l < v);
        if let Some(label) = labels.iter().find(|&&label| !known(label)) {
            return Err(Error::argument(op, format!("labels in 0 .. {v} or {IGNORE_INDEX}"), label));
        }
        let mut outcomes: Vec<Outcome> = vec![[0.0; 7]; m];
        self.pool.each(logits.chunks_exact_mut(v).zip(&mut outcomes), |i, (logits, outcome)| {
            let asked = asked.of_row(i);
            if let Ok(label) = usize::try_from(labels[i]) {
                *outcome = if more {
                    self.isa.run(Row::<true> { transform, logits, label, asked })
                } else {
                    self.isa.run(Row::<false> { transform, logits, label, asked })
                };
            } else if !matches!(asked, row::Asked::Nothing) {
                logits.fill(0.0);
            }
        })?;
        for (value, target) in targets {
            for (to, outcome) in target.iter_mut().zip(&outcomes) {
                *to = outcome[value];
            }
        }
        Ok(())
    }
}
