//! ROUGE-L equals recorded values of rouge-score.

use std::path::Path;

use serde_json::Value;
use tunesmith_similarity::{RougePool, rouge_l};

#[test]
fn equals_rouge_score() {
    let Ok(fixtures) = std::env::var("TUNESMITH_FIXTURES") else {
        println!("skipped: TUNESMITH_FIXTURES is not set");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&fixtures).join("misc/rouge.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        let [a, b] = ["a", "b"].map(|name| case[name].as_str().unwrap());
        let expected = case["rougeL_f1"].as_f64().unwrap();
        assert_eq!(rouge_l(a, b), expected, "{case}");
        let mut pool = RougePool::default();
        pool.add(&[a]);
        assert_eq!(pool.most_similar(&[b])[0].score, expected, "{case}");
    }
}
