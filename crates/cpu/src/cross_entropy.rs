//! `cross_entropy`: rows handed out to the threads, their values collected.

mod row;

use tunesmith_ops::{
    Coefficients, CrossEntropy, Error, IGNORE_INDEX, LocalObjective, LogitTransform, Result, RowGradient, RowValues,
    View, ViewMut, cross_entropy,
};

use crate::Cpu;
use crate::buffer::Buffer;
use crate::views::{call, floats, floats_mut, integers};
use row::{Outcome, Row};

/// What takes the place of the logits.
enum Asked<'a> {
    Nothing,
    Local { objective: LocalObjective, weights: &'a [f32] },
    Coefficients(Coefficients<&'a [f32]>),
}

impl<'a> Asked<'a> {
    fn of(gradient: RowGradient<'a, Buffer>) -> Self {
        match gradient {
            RowGradient::None => Self::Nothing,
            RowGradient::Local { objective, weights } => Self::Local { objective, weights: floats(weights) },
            RowGradient::Coefficients(coefficients) => Self::Coefficients(coefficients.map(floats)),
        }
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
        let call = call("cross_entropy");
        cross_entropy::check(call, (m, v), transform, logits.as_view(), labels, &gradient, &values)?;
        let (logits, labels, asked) = (floats_mut(logits), integers(labels), Asked::of(gradient));
        let more = values.asks_for_more();
        let asked_values = values.all().into_iter().enumerate();
        let targets: Vec<_> = asked_values.filter_map(|(value, view)| Some((value, floats_mut(view?)))).collect();
        let known = |label: i32| label == IGNORE_INDEX || usize::try_from(label).is_ok_and(|l| l < v);
        if let Some(label) = labels.iter().find(|&&label| !known(label)) {
            return Err(Error::argument(call.op, format!("labels in 0 .. {v} or {IGNORE_INDEX}"), label));
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
