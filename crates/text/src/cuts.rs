//! Where a text can be cut so that its parts give the ids of the whole: between the end of a word and a single space in front
//! of a visible character of ASCII.
//!
//! That holds where every step of the tokenizer keeps the two sides apart, which its file shows. Normalizers must leave the
//! end and the space what they are, or change spaces alone. Splitting patterns must not match over the place. And then
//! either some step always splits there, or the model is one of merges and no token of its vocabulary holds the end of a word
//! and a space after it, so that no merge reaches over. Of most tokenizers that can be told of every visible character of
//! ASCII, of some of letters alone.

use serde_json::Value as Json;
use tokenizers::AddedToken;

use crate::adjacency::{Gap, SPACES, WordEnd, is_apart, keeps_words_apart};
use crate::growth::leaves;

/// What can be told of a text's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cuts {
    /// A text up to a cut gives the first ids of the whole.
    pub ends: bool,
    /// A text from a cut on gives the others.
    pub starts: bool,
    /// A token at the start of a text keeps its space in its offsets, where others do not.
    pub first_keeps_space: bool,
    /// What stands before a cut.
    pub word_end: WordEnd,
}

/// A splitting step, or a normalizer.
struct Step {
    ends: bool,
    starts: bool,
    /// It always splits there.
    divides: bool,
}

const NO: Step = Step { ends: false, starts: false, divides: false };
const WHOLE: Step = Step { ends: true, starts: true, divides: false };
const DIVIDES: Step = Step { divides: true, ..WHOLE };

impl Cuts {
    const NONE: Self = Self { ends: false, starts: false, first_keeps_space: false, word_end: WordEnd::Letter };

    /// Those of the tokenizer of a file: after every end of a word, and after letters.
    pub fn of(file: &Json) -> [Self; 2] {
        [WordEnd::Visible, WordEnd::Letter].map(|word_end| Self::after(file, word_end))
    }

    /// Those that most can be told of where a tokenizer matches these added tokens in text.
    pub fn with_added(found: [Self; 2], added: &[AddedToken]) -> Self {
        let is_kept = |cuts: &Self| added.iter().all(|token| keeps_apart(token, cuts.word_end));
        let [all, letters] = found.map(|cuts| if is_kept(&cuts) { cuts } else { Self::NONE });
        if all.starts { all } else { letters }
    }

    fn after(file: &Json, word_end: WordEnd) -> Self {
        let (normalizers, splits) =
            (steps(file, "normalizer", "normalizers"), steps(file, "pre_tokenizer", "pretokenizers"));
        let processors = steps(file, "post_processor", "processors");
        let is_known = |step: &&Json| matches!(kind(step), "ByteLevel" | "TemplateProcessing" | "BertProcessing");
        let dropout = file.pointer("/model/dropout").and_then(Json::as_f64);
        let is_random = dropout.is_some_and(|dropout| dropout > 0.0);
        if is_random || !processors.iter().all(is_known) || has_split_of_bytes(&splits) {
            return Self::NONE;
        }
        let keeps_spaces = !normalizers.iter().any(|step| kind(step) == "Replace");
        let is_written = |step: &&Json| matches!(kind(step), "Replace" | "Metaspace" | "Precompiled");
        let spaces = if normalizers.iter().chain(&splits).any(is_written) { &SPACES[..] } else { &[' '] };
        let gap = Gap { word_end, spaces };
        let normalizers = normalizers.into_iter().map(|step| normalizer(step, word_end));
        let all: Vec<Step> = normalizers.chain(splits.into_iter().map(|step| split(step, gap))).collect();
        let divides = keeps_spaces && all.iter().any(|step| step.divides);
        let ends = all.iter().all(|step| step.ends) && (divides || merges_within_words(&file["model"], word_end));
        let trims = |step: &&Json| {
            kind(step) == "ByteLevel" && step["trim_offsets"] != false && step["add_prefix_space"] != false
        };
        Self {
            ends,
            starts: ends && all.iter().all(|step| step.starts),
            first_keeps_space: processors.iter().any(trims),
            word_end,
        }
    }

    /// The first cut of a text that leaves at least `least` bytes before it.
    pub fn first(self, text: &str, least: usize) -> Option<usize> {
        let is_end = |byte: u8| self.word_end.holds(char::from(byte));
        let is_cut =
            |bytes: &[u8]| matches!(bytes, [before, b' ', after] if is_end(*before) && after.is_ascii_graphic());
        let end = text.as_bytes().windows(3).skip(least).position(is_cut)?;
        least.checked_add(end)?.checked_add(1)
    }
}

/// Whether an added token is matched on one side of a cut, whatever is on the other.
fn keeps_apart(token: &AddedToken, word_end: WordEnd) -> bool {
    // It may take the white space after it, or look at what is before a space that it begins with.
    let takes = token.rstrip && token.content.ends_with(|c| word_end.holds(c));
    let looks_back = token.single_word && token.content.starts_with(SPACES);
    is_apart(&token.content, word_end) && !takes && !looks_back
}

fn steps<'a>(file: &'a Json, name: &str, list: &str) -> Vec<&'a Json> {
    let mut steps = Vec::new();
    leaves(&file[name], list, &mut steps);
    steps
}

fn kind(step: &Json) -> &str {
    step["type"].as_str().unwrap_or_default()
}

/// Letters that stand for bytes are split by another step.
fn has_split_of_bytes(splits: &[&Json]) -> bool {
    splits.iter().position(|step| kind(step) == "ByteLevel").is_some_and(|at| at.checked_add(1) != Some(splits.len()))
}

fn normalizer(step: &Json, word_end: WordEnd) -> Step {
    match kind(step) {
        "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" | "StripAccents" | "BertNormalizer" => WHOLE,
        "Prepend" => Step { starts: false, ..WHOLE },
        "Strip" => Step { starts: step["strip_left"] == false, ..WHOLE },
        "Replace" => match step.pointer("/pattern/String").and_then(Json::as_str) {
            Some(" ") if step["content"] == "▁" => WHOLE,
            Some(other) if !other.is_empty() && !other.contains(|c| is_of_cut(c, word_end)) => WHOLE,
            _ => NO,
        },
        _ => NO,
    }
}

fn is_of_cut(c: char, word_end: WordEnd) -> bool {
    c.is_ascii_alphabetic() || word_end.holds(c) || SPACES.contains(&c)
}

fn split(step: &Json, gap: Gap) -> Step {
    match kind(step) {
        "ByteLevel" => {
            Step { starts: step["add_prefix_space"] == false, divides: step["use_regex"] != false, ends: true }
        }
        "Digits" | "Punctuation" => WHOLE,
        "Whitespace" | "WhitespaceSplit" | "BertPreTokenizer" => DIVIDES,
        "Metaspace" => Step { starts: step["prepend_scheme"] == "never", divides: step["split"] != false, ends: true },
        "Split" => split_by_pattern(step, gap),
        _ => NO,
    }
}

fn split_by_pattern(step: &Json, gap: Gap) -> Step {
    if let Some(text) = step.pointer("/pattern/String").and_then(Json::as_str) {
        return if is_apart(text, gap.word_end) { WHOLE } else { NO };
    }
    let Some(pattern) = step.pointer("/pattern/Regex").and_then(Json::as_str) else { return NO };
    if !keeps_words_apart(pattern, gap) {
        return NO;
    }
    let isolates = step["behavior"] == "Isolated" || (step["behavior"] == "Removed" && step["invert"] == true);
    Step { divides: isolates && matches_alone(pattern, gap.word_end), ..WHOLE }
}

/// True where the end of a word always belongs to a match, whatever stands before it.
fn matches_alone(pattern: &str, word_end: WordEnd) -> bool {
    let Ok(whole) = fancy_regex::Regex::new(&format!(r"\A(?:{pattern})\z")) else { return false };
    word_end.characters().all(|end| whole.is_match(end.encode_utf8(&mut [0; 4])).unwrap_or(false))
}

/// True where a model of merges never makes a token over a cut.
fn merges_within_words(model: &Json, word_end: WordEnd) -> bool {
    let is_absent = |key: &str| matches!(&model[key], Json::Null | Json::Bool(false)) || model[key] == "";
    let has_unknown_runs = !is_absent("fuse_unk") && is_absent("byte_fallback") && !is_absent("unk_token");
    kind(model) == "BPE"
        && ["ignore_merges", "continuing_subword_prefix", "end_of_word_suffix"].into_iter().all(is_absent)
        && !has_unknown_runs
        && model["vocab"].as_object().is_some_and(|vocab| vocab.keys().all(|token| is_apart(token, word_end)))
}
