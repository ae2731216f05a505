//! Near duplicates against a comparison of every text with every other.

use std::collections::{HashMap, HashSet};

use tunesmith_similarity::{Search, Shingling, Unit, jaccard, near_duplicates, shingles};

const WORDS: Search =
    Search { shingling: Shingling { unit: Unit::Word, size: 3 }, threshold: 0.7, max_pairs: 1_000_000 };

struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn text(&mut self, words: usize) -> Vec<String> {
        (0..words).map(|_| format!("word{}", self.below(3_000))).collect()
    }
}

/// Texts of 15 to 40 words; two of five are an earlier one with some words changed.
fn rows(count: usize, seed: u64) -> Vec<String> {
    let mut draw = Draw(seed);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for n in 0..count {
        let length = 15 + draw.below(25);
        let mut row = draw.text(length);
        if n > 10 && draw.below(5) < 2 {
            row.clone_from(&rows[draw.below(n)]);
            for _ in 0..draw.below(4) {
                let place = draw.below(row.len());
                row[place] = format!("word{}", draw.below(3_000));
            }
        }
        rows.push(row);
    }
    rows.iter().map(|row| row.join(" ")).collect()
}

fn brute_force(texts: &[String], search: Search) -> HashMap<(u32, u32), f64> {
    let sets: Vec<Vec<u64>> = texts.iter().map(|text| shingles(text, search.shingling)).collect();
    let mut pairs = HashMap::new();
    for (second, b) in sets.iter().enumerate() {
        for (first, a) in sets[..second].iter().enumerate() {
            let similarity = jaccard(a, b);
            if similarity >= search.threshold {
                pairs.insert((first as u32, second as u32), similarity);
            }
        }
    }
    pairs
}

#[test]
fn few_texts_are_compared_each_with_each() {
    let mut texts = rows(700, 5);
    texts.extend(["", " ", "", "?!", "?!", "Hi", "hi!"].map(String::from));
    for unit in [Unit::Word, Unit::Character] {
        let search = Search { shingling: Shingling { unit, size: 4 }, ..WORDS };
        let found = near_duplicates(&texts, search);
        let listed: HashMap<_, _> =
            found.pairs.iter().map(|pair| ((pair.first, pair.second), pair.similarity)).collect();
        assert_eq!(listed, brute_force(&texts, search));
        assert!(found.complete && found.pairs.len() > 100 && found.pairs.is_sorted_by_key(|p| (p.first, p.second)));
        assert!(listed.keys().all(|(a, b)| found.clusters[*a as usize] == found.clusters[*b as usize]));
        assert!(found.clusters.iter().enumerate().all(|(n, first)| *first as usize <= n));
    }
}

#[test]
fn of_many_texts_hardly_a_pair_is_missed() {
    let texts = rows(5_600, 11);
    let found = near_duplicates(&texts, WORDS);
    let expected = brute_force(&texts, WORDS);
    for pair in &found.pairs {
        assert_eq!(expected.get(&(pair.first, pair.second)), Some(&pair.similarity));
    }
    let listed: HashSet<_> = found.pairs.iter().map(|pair| (pair.first, pair.second)).collect();
    for (least, share) in [(0.8, 0.999), (0.7, 0.97)] {
        let wanted: Vec<_> = expected.iter().filter(|(_, similarity)| **similarity >= least).collect();
        let got = wanted.iter().filter(|(pair, _)| listed.contains(pair)).count();
        assert!(wanted.len() > 1_000, "{}", wanted.len());
        assert!(got as f64 >= share * wanted.len() as f64, "{got} of {} from {least}", wanted.len());
    }
}

#[test]
fn more_pairs_than_asked_for_are_not_all() {
    let texts = vec!["the same text in every row of the set".to_owned(); 20_000];
    let found = near_duplicates(&texts, Search { max_pairs: 1_000, ..WORDS });
    assert!(!found.complete && found.pairs.len() == 1_000);
    assert!(found.clusters.iter().all(|first| *first == 0));
}
