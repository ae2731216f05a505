//! The shapes of one module's factors in an adapter's file, and whether they belong together.

use super::names::FactorKind;

/// What was found of one module's factors.
#[derive(Default)]
pub struct Found<'a> {
    pub a: Option<(FactorKind, &'a [usize])>,
    pub b: Option<(FactorKind, &'a [usize])>,
    pub magnitude: Option<&'a [usize]>,
    pub bias: Option<&'a [usize]>,
}

/// Factors that belong together.
pub struct Shapes<'a> {
    pub kind: FactorKind,
    pub magnitude: Option<&'a [usize]>,
    pub bias: Option<&'a [usize]>,
}

impl<'a> Found<'a> {
    /// The factors, where all of them are there and fit the rank. The error says what does not.
    pub fn check(
        &self,
        module: &str,
        rank: usize,
        dora: bool,
        lora_bias: bool,
        experts: bool,
    ) -> Result<Shapes<'a>, String> {
        let (kind, a, b) = match (self.a, self.b) {
            (Some((kind, a)), Some((other, b))) if kind == other => {
                // The factors of all experts lie in one pair.
                let kind = if experts && kind == FactorKind::Linear { FactorKind::Experts } else { kind };
                (kind, a, b)
            }
            _ => {
                return Err(format!(
                    "expected lora_A and lora_B of `{module}`, got one of them; the adapter is not whole"
                ));
            }
        };
        let wrong = |suffix: &str, expected: &str, shape: &[usize]| {
            let name = suffix.trim_start_matches('.').trim_end_matches(".weight");
            Err(format!(
                "expected shape {expected} with r = {rank} in {name} of `{module}`, got {shape:?}; \
                 the adapter contradicts its configuration"
            ))
        };
        let rank = match a.first() {
            Some(rows) if kind == FactorKind::Experts && rows.checked_rem(rank) == Some(0) => *rows,
            _ => rank,
        };
        let inside = |shape: &[usize]| shape.iter().all(|&size| size > 0);
        let [a_suffix, b_suffix] = kind.suffixes();
        if !matches!(a, [r, _] if *r == rank) || !inside(a) {
            return wrong(a_suffix, "[r, in]", a);
        }
        let Some(out) = b.first().copied().filter(|_| matches!(b, [_, r] if *r == rank) && inside(b)) else {
            return wrong(b_suffix, "[out, r]", b);
        };
        if lora_bias != self.bias.is_some() || self.bias.is_some_and(|shape| shape != [out]) {
            let got = self.bias.map_or("none".to_owned(), |shape| format!("{shape:?}"));
            let expected = if lora_bias { format!("lora_B.bias [{out}]") } else { "no lora_B.bias".to_owned() };
            return Err(format!(
                "expected {expected} of `{module}` with lora_bias {lora_bias}, got {got}; correct the file"
            ));
        }
        match (dora, self.magnitude) {
            (true, Some(shape)) if shape != [out] => wrong("lora_magnitude_vector", "[out]", shape),
            (true, None) | (false, Some(_)) => {
                let got = if dora { "none" } else { "one" };
                Err(format!(
                    "expected the lora_magnitude_vector of `{module}` to go with use_dora {dora}, got {got}; correct \
                     the file"
                ))
            }
            _ => Ok(Shapes { kind, magnitude: self.magnitude, bias: self.bias }),
        }
    }
}
