//! Texts as words: as rouge-score cuts them, and as Unicode does.

use unicode_segmentation::UnicodeSegmentation;

/// Words as rouge-score's default tokenizer gives them without its stemmer: the lower-cased text, cut at everything that
/// is neither a letter from a to z nor a digit.
pub fn rouge_words(lower_cased: &str) -> impl Iterator<Item = &str> {
    lower_cased
        .split(|letter: char| !(letter.is_ascii_lowercase() || letter.is_ascii_digit()))
        .filter(|word| !word.is_empty())
}

/// Words of a text in any script: Unicode's word boundaries (UAX 29), without spaces and punctuation. Of Chinese, and of
/// scripts that write no spaces, most characters are a word each.
pub fn unicode_words(lower_cased: &str) -> impl Iterator<Item = &str> {
    lower_cased.unicode_words()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rouge_cuts_at_all_that_is_not_ascii() {
        let text = "Don't stop — 3.5 naïve  İstanbul, 京都".to_lowercase();
        let words: Vec<&str> = rouge_words(&text).collect();
        assert_eq!(words, ["don", "t", "stop", "3", "5", "na", "ve", "i", "stanbul"]);
        assert_eq!(rouge_words("京都").count(), 0);
    }

    #[test]
    fn unicode_words_hold_any_script() {
        let words: Vec<&str> = unicode_words("don't stop, naïve 京都 — 3.5").collect();
        assert_eq!(words, ["don't", "stop", "naïve", "京", "都", "3.5"]);
    }
}
