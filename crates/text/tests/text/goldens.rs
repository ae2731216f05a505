//! Ids and labels of recorded runs, from the model folders and from the real `SmolLM2`.

use std::path::Path;
use std::{env, fs};

use crate::common::{fixtures, read_json};
use serde_json::{Value as Json, json};
use tunesmith_formats::GgufFile;
use tunesmith_text::{ConversationOptions, Tokenizer};

fn ids(value: &Json) -> Vec<i32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// 1 inside the spans.
fn mask(length: usize, spans: &[(u32, u32)]) -> Vec<i32> {
    let inside = |at: usize| spans.iter().any(|&(start, end)| (start as usize..end as usize).contains(&at));
    (0..length).map(|at| i32::from(inside(at))).collect()
}

/// Ids and the mask a recorded row gives: completion mask, assistant mask or all.
fn encode_row(tokenizer: &Tokenizer, row: &Json) -> (Vec<i32>, Vec<i32>) {
    if let Some(text) = row["text"].as_str() {
        let ids = tokenizer.encode_text(text, true).unwrap();
        let mask = vec![1; ids.len()];
        return (ids, mask);
    }
    if let Some((prompt, completion)) = row["prompt"].as_str().zip(row["completion"].as_str()) {
        let pair = tokenizer.encode_pair(prompt, completion).unwrap();
        let mask = (0..pair.ids.len()).map(|at| i32::from(at >= pair.prompt_len)).collect();
        return (pair.ids, mask);
    }
    let encoded = tokenizer.encode_conversation(row, false).unwrap();
    let mask = mask(encoded.ids.len(), &encoded.spans);
    (encoded.ids, mask)
}

#[test]
fn recorded_training_rows_are_reproduced() {
    let Some(root) = fixtures() else { return };
    let runs = fs::read_dir(root.join("trl")).unwrap().map(|entry| entry.unwrap().path());
    let runs: Vec<_> = runs.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("sft-")).collect();
    assert!(!runs.is_empty());
    for path in runs {
        let run = read_json(&path.join("run.json"));
        let tokenizer = Tokenizer::from_dir(&root.join("models").join(run["model"].as_str().unwrap())).unwrap();
        let max_length = run["args"]["max_length"].as_u64().unwrap() as usize;
        let rows = run["train"].as_array().unwrap();
        for (row, recorded) in rows.iter().zip(run["tokenized_first_12"].as_array().unwrap()) {
            let (mut row_ids, mut row_mask) = encode_row(&tokenizer, row);
            row_ids.truncate(max_length);
            row_mask.truncate(max_length);
            let mut expected = ids(&recorded["input_ids"]);
            expected.truncate(max_length);
            assert_eq!(row_ids, expected, "{}", path.display());
            let supervises_all = row.get("messages").is_some() && run["args"]["assistant_only_loss"] != true;
            let expected: Vec<i32> = ids(&recorded["labels"]).iter().map(|&label| i32::from(label >= 0)).collect();
            if supervises_all {
                assert!(expected.iter().all(|&trained| trained == 1));
            } else {
                assert_eq!(row_mask, expected, "{}", path.display());
            }
        }
        eprintln!("{}: {} rows", path.display(), rows.len().min(12));
    }
}

/// The tokenizer of the real `SmolLM2-135M-Instruct`, from the GGUF file that `TUNESMITH_SMOLLM2` names.
fn smollm2() -> Option<Tokenizer> {
    let Some(path) = env::var_os("TUNESMITH_SMOLLM2") else {
        eprintln!("skipped: TUNESMITH_SMOLLM2 does not name the GGUF file");
        return None;
    };
    Some(Tokenizer::from_gguf(GgufFile::open(Path::new(&path)).unwrap().tokenizer().unwrap()).unwrap())
}

#[test]
fn smollm2_texts_and_conversations_give_the_recorded_ids() {
    let (Some(root), Some(tokenizer)) = (fixtures(), smollm2()) else { return };
    assert_eq!(tokenizer.info().vocab_size, 49_152);
    assert!(!tokenizer.info().add_bos && !tokenizer.info().has_generation_tags);
    let recorded = read_json(&root.join("goldens-smollm2/smollm2-135m.json"));
    for case in recorded["tokenization"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let text_ids = tokenizer.encode(text, true).unwrap();
        assert_eq!(text_ids, ids(&case["ids"]), "{text}");
        assert_eq!(tokenizer.decode(&text_ids, false).unwrap(), text);
    }
    for row in recorded["rows"].as_array().unwrap() {
        let encoded = tokenizer.encode_conversation(row, false).unwrap();
        assert_eq!(encoded.ids, ids(&row["input_ids"]));
        // All but the template's final line end is trained.
        let end = encoded.ids.len() as u32 - 1;
        assert_eq!(encoded.spans, [(row["prompt_tokens"].as_u64().unwrap() as u32, end)]);
        assert_eq!(encoded.turns, [1]);
    }
    for case in recorded["generations"].as_array().unwrap() {
        let conversation = json!({"messages": [{"role": "user", "content": case["prompt"]}]});
        assert_eq!(tokenizer.encode_conversation(&conversation, true).unwrap().ids, ids(&case["prompt_ids"]));
        assert_eq!(tokenizer.decode(&ids(&case["output_ids"]), false).unwrap(), case["text"].as_str().unwrap());
    }
}

#[test]
fn smollm2_training_rows_give_the_recorded_labels() {
    let (Some(root), Some(tokenizer)) = (fixtures(), smollm2()) else { return };
    let rows = read_json(&root.join("goldens-smollm2/run/run.json"))["rows"].take();
    let rows = rows.as_array().unwrap();
    for (row, encoded) in rows.iter().zip(tokenizer.encode_conversations(rows, ConversationOptions::default(), 2)) {
        let encoded = encoded.unwrap();
        assert_eq!(encoded.ids, ids(&row["input_ids"]));
        let trained: Vec<i32> = ids(&row["labels"]).iter().map(|&label| i32::from(label >= 0)).collect();
        assert_eq!(mask(encoded.ids.len(), &encoded.spans), trained);
    }
}
