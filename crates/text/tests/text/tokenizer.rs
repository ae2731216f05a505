//! Loading, encoding and decoding with small tokenizers written on the spot.

use std::fs;

use crate::common::{CHATML, folder, small, tokenizer_json};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tunesmith_formats::GgufTokenizer;
use tunesmith_text::{ConversationOptions, DecodeStream, TextError, Tokenizer};

/// A tokenizer whose post-processor writes a beginning of sequence.
fn with_bos(template: &str) -> Tokenizer {
    let mut file = tokenizer_json();
    file["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|pad|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|pad|>": {"id": "<|pad|>", "ids": [0], "tokens": ["<|pad|>"]}},
    });
    let config = json!({"bos_token": "<|pad|>", "eos_token": "<|im_end|>", "model_max_length": 77, "chat_template": [{"name": "other", "template": ""}, {"name": "default", "template": template}]});
    Tokenizer::from_dir(folder(&file, &config).path()).unwrap()
}

fn ids_of(tokenizer: &Tokenizer, tokens: &[&str]) -> Vec<i32> {
    tokens.iter().map(|token| tokenizer.token_to_id(token).unwrap()).collect()
}

fn error_of(result: Result<Tokenizer, TextError>) -> TextError {
    result.err().unwrap()
}

#[test]
fn the_folder_says_what_the_tokenizer_is() {
    let info = small(CHATML).info().clone();
    assert_eq!(info.eos.as_ref().map(|token| (token.id, token.content.as_str())), Some((2, "<|im_end|>")));
    assert_eq!(
        (info.pad.map(|token| token.id), info.bos, info.model_max_length, info.add_bos),
        (Some(0), None, None, false)
    );
    assert_eq!(info.chat_template.as_deref(), Some(CHATML));
    assert_eq!(info.chat_template_sha256.map(|hash| hash.len()), Some(64));
    let info = with_bos("x").info().clone();
    assert_eq!((info.model_max_length, info.add_bos, info.chat_template.as_deref()), (Some(77), true, Some("x")));
}

#[test]
fn a_template_file_wins_and_named_tokens_may_lie_in_the_map() {
    let dir = folder(&tokenizer_json(), &json!({"chat_template": "config"}));
    fs::write(dir.path().join("chat_template.jinja"), "file {{ eos_token }}").unwrap();
    fs::write(dir.path().join("special_tokens_map.json"), json!({"eos_token": {"content": "<|end|>"}}).to_string())
        .unwrap();
    let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
    assert_eq!(tokenizer.render(&json!({"messages": []}), false).unwrap().text, "file <|end|>");
}

#[test]
fn a_named_token_is_matched_as_the_file_lists_it_or_else_as_special() {
    let mut file = tokenizer_json();
    file["added_tokens"][2]["rstrip"] = json!(true);
    file["model"]["vocab"]["<eos>"] = json!(999);
    let load = |eos: &str| Tokenizer::from_dir(folder(&file, &json!({"eos_token": eos})).path()).unwrap();
    assert_eq!(load("<eos>").encode("a<eos>", false).unwrap()[1..], [999]);
    assert_eq!(load("<eos>").decode(&[999], true).unwrap(), "");
    assert_eq!(load("<|im_end|>").encode("<|im_end|>  ", false).unwrap(), [2]);
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let empty = TempDir::new().unwrap();
    assert_eq!(error_of(Tokenizer::from_dir(empty.path())).code, "FILE_MISSING");
    for text in ["", "{}", "[1]", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a a\"]}}"] {
        fs::write(empty.path().join("tokenizer.json"), text).unwrap();
        let error = error_of(Tokenizer::from_dir(empty.path()));
        assert_eq!(error.code, "TOKENIZER_INVALID");
        assert!(error.message.starts_with("[tokenizer.json] expected "), "{error}");
    }
    let broken = folder(&tokenizer_json(), &json!({"chat_template": "\n{% if %}"}));
    let error = error_of(Tokenizer::from_dir(broken.path()));
    assert!(error.code == "TEMPLATE_INVALID" && error.message.contains("line 2"), "{error}");
}

#[test]
fn texts_get_special_tokens_and_conversations_do_not() {
    let tokenizer = with_bos(CHATML);
    assert_eq!(tokenizer.encode("hello w", true).unwrap(), ids_of(&tokenizer, &["<|pad|>", "hello", "Ġw"]));
    assert_eq!(tokenizer.encode_text("hello", true).unwrap(), ids_of(&tokenizer, &["<|pad|>", "hello", "<|im_end|>"]));
    assert_eq!(tokenizer.encode_text("hello<|im_end|>", true).unwrap().len(), 3);
    let encoded = tokenizer.encode_with_offsets("hello é", false).unwrap();
    assert_eq!(encoded.offsets, [(0, 5), (5, 6), (6, 8), (6, 8)]);
    let row = json!({"messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(tokenizer.encode_conversation(&row, false).unwrap_err().code, "DATA_INVALID");
    assert_eq!(
        tokenizer.encode_conversation(&row, true).unwrap().ids[0],
        tokenizer.token_to_id("<|im_start|>").unwrap()
    );
}

#[test]
fn two_beginnings_of_sequence_are_an_error() {
    let tokenizer = with_bos("{{ bos_token }}{{ messages[0].content }}");
    let row = |content: &str| json!({"messages": [{"role": "user", "content": content}]});
    assert!(tokenizer.encode_conversation(&row("hello"), true).is_ok());
    assert_eq!(tokenizer.encode_conversation(&row("<|pad|>hello"), true).unwrap_err().code, "TEMPLATE_INVALID");
    let opener = with_bos("{{ bos_token }}{% for m in messages %}<|pad|>{{ m.content }}{% endfor %}<|pad|>");
    assert_eq!(opener.encode_conversation(&row("hello"), true).unwrap().ids.len(), 4);
}

#[test]
fn the_boundary_of_a_pair_is_where_its_ids_part_from_the_prompts() {
    let tokenizer = small(CHATML);
    let pair = tokenizer.encode_pair("hello ", "x").unwrap();
    assert_eq!((pair.prompt_len, pair.prefix_mismatch), (2, false));
    assert_eq!(pair.ids, ids_of(&tokenizer, &["hello", "Ġ", "x", "<|im_end|>"]));
    let pair = tokenizer.encode_pair("hello ", "w").unwrap();
    assert_eq!((pair.prompt_len, pair.prefix_mismatch), (1, true));
    let pairs = vec![("hello ", "w<|im_end|>"); 20];
    assert!(tokenizer.encode_pairs(&pairs, None, 2).into_iter().all(|encoded| encoded.unwrap() == pair));
    let no_eos = Tokenizer::from_dir(folder(&tokenizer_json(), &json!({})).path()).unwrap();
    assert_eq!(no_eos.encode_pair("a", "b").unwrap_err().code, "TOKENIZER_INVALID");
    assert_eq!(no_eos.render(&json!({"messages": []}), false).unwrap_err().code, "TEMPLATE_INVALID");
}

#[test]
fn threads_do_not_change_a_result() {
    let tokenizer = small(CHATML);
    let rows: Vec<Json> = (0..100).map(|at| json!({"messages": [{"role": "user", "content": "hello".repeat(at)}, {"role": "assistant", "content": format!("{at}")}]})).collect();
    let alone: Vec<_> = rows.iter().map(|row| tokenizer.encode_conversation(row, false)).collect();
    for threads in [0, 1, 3] {
        assert_eq!(tokenizer.encode_conversations(&rows, ConversationOptions::default(), threads), alone);
    }
}

#[test]
fn another_template_may_only_write_tokens_of_the_vocabulary() {
    let fitting = "{# <|none|> #}<|im_start|>{{ '<|' }}{{ messages[0].content }}";
    let tokenizer = small(CHATML).with_chat_template(fitting.to_owned()).unwrap();
    assert_eq!(
        tokenizer.render(&json!({"messages": [{"role": "user", "content": "x"}]}), false).unwrap().text,
        "<|im_start|><|x"
    );
    assert_eq!(tokenizer.info().chat_template.as_deref(), Some(fitting));
    let error = error_of(small(CHATML).with_chat_template("<|start_header_id|>".to_owned()));
    assert!(error.code == "TEMPLATE_INVALID" && error.message.contains("<|start_header_id|>"), "{error}");
}

#[test]
fn what_decides_ids_decides_the_fingerprint() {
    let of = |template: &str, options| {
        small(CHATML).with_chat_template(template.to_owned()).unwrap().fingerprint(options).unwrap()
    };
    let plain = ConversationOptions::default();
    let at = |moment| ConversationOptions { moment: Some(moment), ..plain };
    let hash = of("{{ messages }}", plain);
    assert_eq!((hash.len(), of("{{ messages }}", plain)), (64, hash.clone()));
    assert_ne!(of("{{ messages }}!", plain), hash);
    assert_ne!(of("{{ messages }}", ConversationOptions { sanitize_control_tokens: true, ..plain }), hash);
    // The moment counts where a template asks for it.
    assert_eq!(of("{{ messages }}", at(1)), of("{{ messages }}", at(2)));
    assert_ne!(of("{{ strftime_now('%Y') }}", at(1)), of("{{ strftime_now('%Y') }}", at(2)));
}

#[test]
fn a_stream_gives_whole_characters_that_join_to_the_text() {
    let tokenizer = small(CHATML);
    let text = "hello é 👋🏽 w<|im_end|>\n\nhello\u{fffd}.";
    for skip in [true, false] {
        let ids = tokenizer.encode(text, false).unwrap();
        let mut stream = DecodeStream::new(skip);
        let pieces: Vec<String> = ids.iter().map(|&id| stream.push(&tokenizer, id).unwrap()).collect();
        assert!(pieces.iter().filter(|piece| piece.contains(char::REPLACEMENT_CHARACTER)).count() <= 1);
        assert!(pieces.contains(&"é".to_owned()) && pieces.contains(&"👋".to_owned()));
        assert_eq!(pieces.concat() + &stream.finish(&tokenizer).unwrap(), tokenizer.decode(&ids, skip).unwrap());
    }
    let ids = tokenizer.encode("a👋", false).unwrap();
    let mut stream = DecodeStream::new(true);
    let pieces: String = ids[..ids.len() - 1].iter().map(|&id| stream.push(&tokenizer, id).unwrap()).collect();
    assert_eq!((pieces.as_str(), stream.finish(&tokenizer).unwrap().as_str()), ("a", "\u{fffd}"));
    assert_eq!(stream.finish(&tokenizer).unwrap(), "");
}

#[test]
fn decoding_takes_ids_only() {
    let tokenizer = small(CHATML);
    assert_eq!(tokenizer.decode(&[2], true).unwrap(), "");
    assert_eq!(tokenizer.decode(&[2, 1_000_000], false).unwrap(), "<|im_end|>");
    assert_eq!(tokenizer.decode(&[2, -1], false).unwrap_err().code, "DATA_INVALID");
}

fn gguf(pre: &str) -> GgufTokenizer {
    let file = tokenizer_json();
    let vocab = file["model"]["vocab"].as_object().unwrap();
    GgufTokenizer {
        model: "gpt2".to_owned(),
        pre: Some(pre.to_owned()),
        tokens: vocab.keys().cloned().collect(),
        token_types: (0..vocab.len()).map(|id| if id < 3 { 3 } else { 4 - 3 * i32::from(id > 3) }).collect(),
        merges: file["model"]["merges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|merge| merge.as_str().unwrap().to_owned())
            .collect(),
        bos_token_id: Some(1),
        eos_token_id: Some(2),
        chat_template: Some(CHATML.to_owned()),
        ..GgufTokenizer::default()
    }
}

#[test]
fn gguf_metadata_gives_the_same_tokenizer() {
    let (from_json, from_gguf) = (small(CHATML), Tokenizer::from_gguf(gguf("gpt-2")).unwrap());
    let text = "hello w or <|im_end|>42é\n\n<|end|>";
    let ids = from_json.encode(text, true).unwrap();
    assert_eq!(from_gguf.encode(text, true).unwrap(), ids);
    assert_eq!(from_gguf.decode(&ids, true).unwrap(), "hello w or 42é\n\n<|end|>");
    assert_eq!(from_gguf.info().chat_template, from_json.info().chat_template);
    let llama = Tokenizer::from_gguf(gguf("llama-bpe")).unwrap();
    assert_eq!(llama.encode("hello", true).unwrap()[0], 1);
    assert_eq!(
        Tokenizer::from_gguf(GgufTokenizer { add_bos_token: Some(false), ..gguf("llama-bpe") })
            .unwrap()
            .encode("hello", true)
            .unwrap()
            .len(),
        1
    );
    for pre in ["smollm", "qwen2", "default"] {
        assert_eq!(Tokenizer::from_gguf(gguf(pre)).unwrap().encode("hello 1234", false).unwrap().len(), 6, "{pre}");
    }
}

#[test]
fn a_tokenizer_out_of_gguf_is_written_as_a_folder_that_reads_back_as_itself() {
    let tools = format!("{CHATML}{{{{ tools | length }}}}");
    let metadata = GgufTokenizer { tool_use_template: Some(tools), ..gguf("gpt-2") };
    let written = Tokenizer::from_gguf(metadata.clone()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("additional_chat_templates")).unwrap();
    for (name, text) in written.files().unwrap() {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let read = Tokenizer::from_dir(dir.path()).unwrap();
    let text = "hello w or <|im_end|>42é\n\n<|end|>";
    assert_eq!(read.encode(text, true).unwrap(), written.encode(text, true).unwrap());
    let (a, b) = (read.info(), written.info());
    assert_eq!((&a.bos, &a.eos, &a.pad, &a.chat_template), (&b.bos, &b.eos, &b.pad, &b.chat_template));
    assert_eq!(a.chat_template_sha256, b.chat_template_sha256);
    assert_eq!(read.to_gguf(&[]).unwrap().tool_use_template, metadata.tool_use_template);
    let row = json!({"messages": [], "tools": [{}, {}]});
    assert_eq!(read.render(&row, false).unwrap().text, "2");
}

#[test]
fn gguf_tokenizers_that_are_not_supported_are_named() {
    let cases = [
        GgufTokenizer { model: "bert".to_owned(), ..gguf("gpt-2") },
        gguf("unheard-of"),
        GgufTokenizer { eos_token_id: Some(99_999), ..gguf("gpt-2") },
    ];
    for (case, named) in cases.into_iter().zip(["bert", "unheard-of", "99999"]) {
        let error = error_of(Tokenizer::from_gguf(case));
        assert!(error.code == "TOKENIZER_INVALID" && error.message.contains(named), "{error}");
    }
}

/// Texts on which splitting patterns differ.
const TEXTS: [&str; 5] = [
    "Hello world, it's 12345 o'clock!\n\n  tab\tand   spaces ",
    "<|im_start|>user\nWhat's 3.14?<|im_end|>\n",
    "naïve café — 漢字 😀 ÀÉ",
    "CamelCase HTTPServer don't DON'T",
    "",
];

#[test]
fn a_tokenizer_goes_into_gguf_metadata_and_back() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures/models");
    let mut count = 0;
    for folder in std::fs::read_dir(fixtures).unwrap() {
        let original = Tokenizer::from_dir(&folder.unwrap().path()).unwrap();
        let metadata = original.to_gguf(&[2, 3]).unwrap();
        assert_eq!((metadata.model.as_str(), metadata.eot_token_id), ("gpt2", Some(3)));
        let template = metadata.chat_template.clone().unwrap();
        assert!(!template.contains("generation %}") && template.contains("{% if true %}"), "{template}");
        let back = Tokenizer::from_gguf(metadata).unwrap();
        for text in TEXTS {
            assert_eq!(back.encode(text, true).unwrap(), original.encode(text, true).unwrap(), "{text}");
        }
        assert_eq!((&back.info().bos, &back.info().pad), (&original.info().bos, &original.info().pad));
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn every_splitting_that_is_read_is_written_under_a_name_that_means_it() {
    for pre in ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "gpt-4o", "tekken", "default"] {
        let metadata = Tokenizer::from_gguf(gguf(pre)).unwrap().to_gguf(&[]).unwrap();
        assert_eq!(metadata.pre.as_deref(), Some(pre));
    }
    let mut file = tokenizer_json();
    file["pre_tokenizer"] = json!({"type": "Whitespace"});
    let other = Tokenizer::from_dir(folder(&file, &json!({})).path()).unwrap();
    let error = other.to_gguf(&[]).unwrap_err();
    assert!(error.code == "TOKENIZER_INVALID" && error.message.contains("Whitespace"), "{error}");
}

/// Pieces whose merges SentencePiece finds by their scores: the higher first.
fn sentence_piece() -> GgufTokenizer {
    let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
    let pieces = ["▁", "h", "e", "l", "o", "w", "r", "d", "▁h", "el", "lo", "▁hel", "▁hello", "or", "▁w", "▁wor", "ld"];
    let tokens: Vec<String> =
        ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter().chain(bytes).chain(pieces.map(str::to_owned)).collect();
    let kind = |id: usize| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    };
    GgufTokenizer {
        model: "llama".to_owned(),
        token_types: (0..tokens.len()).map(kind).collect(),
        scores: (0..tokens.len()).map(|id| if id < 267 { 0.0 } else { 266.0 - id as f32 }).collect(),
        tokens,
        bos_token_id: Some(1),
        eos_token_id: Some(2),
        unk_token_id: Some(0),
        ..GgufTokenizer::default()
    }
}

#[test]
fn sentence_piece_metadata_is_read_and_written() {
    let first = Tokenizer::from_gguf(sentence_piece()).unwrap();
    let names = sentence_piece().tokens;
    let pieces = |text: &str| {
        let ids = first.encode(text, true).unwrap();
        ids.iter().map(|&id| names[id as usize].clone()).collect::<Vec<String>>()
    };
    assert_eq!(pieces("hello world"), ["<s>", "▁hello", "▁wor", "ld"]);
    assert_eq!(pieces("é"), ["<s>", "▁", "<0xC3>", "<0xA9>"]);
    assert_eq!(first.decode(&first.encode("hello wé", true).unwrap(), true).unwrap(), "hello wé");
    let written = first.to_gguf(&[]).unwrap();
    assert_eq!((written.model.as_str(), written.add_space_prefix), ("llama", Some(true)));
    assert_eq!(written.token_types, sentence_piece().token_types);
    let second = Tokenizer::from_gguf(written).unwrap();
    for text in ["hello world", "world hello", "lold wor é", ""] {
        assert_eq!(second.encode(text, true).unwrap(), first.encode(text, true).unwrap(), "{text}");
    }
    let unprefixed = Tokenizer::from_gguf(GgufTokenizer { add_space_prefix: Some(false), ..sentence_piece() }).unwrap();
    assert_eq!(unprefixed.encode("hello", false).unwrap().len(), 3);
}

#[test]
fn another_end_of_sequence_ends_texts_and_is_seen_by_templates() {
    let own = small("{{ messages[0].content }}{{ eos_token }}");
    let ends = own.info().eos.clone().unwrap();
    let tokenizer =
        small("{{ messages[0].content }}{{ eos_token }}").with_eos_token("<|im_start|>".to_owned()).unwrap();
    let eos = tokenizer.info().eos.clone().unwrap();
    assert_eq!(eos.content, "<|im_start|>");
    assert_ne!(eos.id, ends.id);
    let text = |tokenizer: &Tokenizer| tokenizer.encode_texts(&["hello"], true, None, 1).remove(0).unwrap();
    assert_eq!(text(&own).last(), Some(&ends.id));
    assert_eq!(text(&tokenizer).last(), Some(&eos.id));
    let row = json!({ "messages": [{ "role": "user", "content": "hello" }] });
    assert_eq!(tokenizer.render(&row, false).unwrap().text, "hello<|im_start|>");
    let refused = small(CHATML).with_eos_token("<|nowhere|>".to_owned()).err().unwrap();
    assert_eq!(refused.code, "TOKENIZER_INVALID");
    assert!(refused.to_string().contains("<|nowhere|>"), "{refused}");
}
