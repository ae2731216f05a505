//! ROUGE-L of two texts (Lin 2004), to the bit as the package rouge-score has it.

use std::collections::HashMap;

use crate::lcs::Pattern;
use crate::words::rouge_words;

/// F-measure of the longest common subsequence of two texts' words, without a stemmer; 0 where one has no words.
pub fn rouge_l(target: &str, prediction: &str) -> f64 {
    let (target, prediction) = (target.to_lowercase(), prediction.to_lowercase());
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut ids = |text| -> Vec<u32> {
        rouge_words(text)
            .map(|word| {
                let next = known.len() as u32;
                *known.entry(word).or_insert(next)
            })
            .collect()
    };
    let (target, prediction) = (ids(&target), ids(&prediction));
    let mut pattern = Pattern::default();
    pattern.set(target.iter().map(|id| Some(*id)), known.len());
    f_measure(pattern.lcs(&prediction), target.len(), prediction.len())
}

/// The F-measure, computed in rouge-score's order.
pub fn f_measure(lcs: u32, target: usize, prediction: usize) -> f64 {
    if lcs == 0 {
        return 0.0;
    }
    let (precision, recall) = (f64::from(lcs) / prediction as f64, f64::from(lcs) / target as f64);
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::rouge_l;

    #[test]
    fn words_in_order_count() {
        assert_eq!(rouge_l("The cat sat", "the CAT, sat!"), 1.0);
        assert_eq!(rouge_l("a b c d", "d c b a"), 0.25);
        assert_eq!(rouge_l("a b", "a b c d"), 2.0 * 0.5 * 1.0 / 1.5);
        assert_eq!(rouge_l("", "a"), 0.0);
        assert_eq!(rouge_l("京都", "京都"), 0.0);
    }
}
