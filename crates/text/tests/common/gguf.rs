//! The metadata of a GGUF file, read just far enough for a tokenizer test.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use tunesmith_text::GgufTokenizer;

/// The metadata values that a tokenizer consists of.
enum Value {
    Number(u64),
    Text(String),
    List(Vec<Value>),
}

pub fn read_tokenizer(path: &Path) -> GgufTokenizer {
    let mut metadata = read_metadata(&mut BufReader::new(File::open(path).unwrap()));
    let mut take = |key: &str| metadata.remove(key);
    let number = |value: Option<Value>| {
        value.map(|value| if let Value::Number(number) = value { number as u32 } else { panic!("no number") })
    };
    let text =
        |value: Option<Value>| value.map(|value| if let Value::Text(text) = value { text } else { panic!("no text") });
    let list = |value: Option<Value>| if let Some(Value::List(items)) = value { items } else { panic!("no list") };
    GgufTokenizer {
        model: text(take("tokenizer.ggml.model")).unwrap(),
        pre: text(take("tokenizer.ggml.pre")),
        tokens: list(take("tokenizer.ggml.tokens")).into_iter().map(|token| text(Some(token)).unwrap()).collect(),
        token_types: list(take("tokenizer.ggml.token_type"))
            .into_iter()
            .map(|kind| number(Some(kind)).unwrap() as i32)
            .collect(),
        scores: Vec::new(),
        eot_token_id: None,
        add_space_prefix: None,
        merges: list(take("tokenizer.ggml.merges")).into_iter().map(|merge| text(Some(merge)).unwrap()).collect(),
        bos_token_id: number(take("tokenizer.ggml.bos_token_id")),
        eos_token_id: number(take("tokenizer.ggml.eos_token_id")),
        unk_token_id: number(take("tokenizer.ggml.unknown_token_id")),
        pad_token_id: number(take("tokenizer.ggml.padding_token_id")),
        add_bos: number(take("tokenizer.ggml.add_bos_token")).map(|flag| flag != 0),
        chat_template: text(take("tokenizer.chat_template")),
    }
}

fn read_metadata(file: &mut impl Read) -> HashMap<String, Value> {
    assert_eq!(number(file, 4), u64::from(u32::from_le_bytes(*b"GGUF")));
    let _version_and_tensors = (number(file, 4), number(file, 8));
    (0..number(file, 8)).map(|_| (text(file), typed(file))).collect()
}

fn number(file: &mut impl Read, bytes: usize) -> u64 {
    let mut buffer = [0; 8];
    file.read_exact(&mut buffer[..bytes]).unwrap();
    u64::from_le_bytes(buffer)
}

fn text(file: &mut impl Read) -> String {
    let mut buffer = vec![0; number(file, 8) as usize];
    file.read_exact(&mut buffer).unwrap();
    String::from_utf8(buffer).unwrap()
}

fn typed(file: &mut impl Read) -> Value {
    let kind = number(file, 4);
    value(file, kind)
}

fn value(file: &mut impl Read, kind: u64) -> Value {
    match kind {
        8 => Value::Text(text(file)),
        9 => {
            let kind = number(file, 4);
            Value::List((0..number(file, 8)).map(|_| value(file, kind)).collect())
        }
        0 | 1 | 7 => Value::Number(number(file, 1)),
        2 | 3 => Value::Number(number(file, 2)),
        4..=6 => Value::Number(number(file, 4)),
        _ => Value::Number(number(file, 8)),
    }
}
