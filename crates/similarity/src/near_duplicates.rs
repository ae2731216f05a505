//! Pairs of texts whose shingles are nearly the same, each with its exact Jaccard similarity.

use rayon::prelude::*;

use crate::clusters::Clusters;
use crate::join::all_pairs;
use crate::minhash::{BANDS, BandKeys, Permutations};
use crate::pair::Pair;
use crate::shingles::{Shingling, jaccard, shingles};

/// Sets fewer than these are compared each with each.
const EXHAUSTIVE_BELOW: usize = 5_000;
/// Candidates that are compared at a time.
const SLICE: usize = 1 << 16;
/// Candidates that are compared at all: data in which every text is half of every other must come to an end too.
const MOST_CANDIDATES: usize = 20_000_000;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Search {
    /// How texts are cut.
    pub shingling: Shingling,
    /// Least Jaccard similarity of a pair. Above 5,000 different texts, 98 of 100 pairs of 0.7 are found and 9,999 of 10,000 of
    /// 0.8.
    pub threshold: f64,
    /// Pairs that are given at most.
    pub max_pairs: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct NearDuplicates {
    /// Pairs, by their places.
    pub pairs: Vec<Pair>,
    /// By text: the first text of those it hangs together with through pairs, itself where there are none.
    pub clusters: Vec<u32>,
    /// False where there are more pairs than asked for, or too many candidates to compare them all.
    pub complete: bool,
}

/// Finds near duplicates among texts, on all processors. Texts of nothing but white space are like none.
pub fn near_duplicates<T: AsRef<str> + Sync>(texts: &[T], search: Search) -> NearDuplicates {
    let sets: Vec<Vec<u64>> = texts.par_iter().map(|text| shingles(text.as_ref(), search.shingling)).collect();
    let groups = equal_sets(&sets);
    let distinct: Vec<&[u64]> = groups
        .iter()
        .filter_map(|group| group.first())
        .filter_map(|first| sets.get(*first as usize))
        .map(Vec::as_slice)
        .collect();
    let (alike, mut complete) = if distinct.len() < EXHAUSTIVE_BELOW {
        all_pairs(&distinct, search.threshold, search.max_pairs)
    } else {
        likely_pairs(&distinct, search.threshold, search.max_pairs)
    };
    let mut clusters = Clusters::new(texts.len());
    for group in &groups {
        group.iter().zip(group.iter().skip(1)).for_each(|(a, b)| clusters.join(*a, *b));
    }
    let members = |set: u32| groups.get(set as usize).map_or(&[][..], Vec::as_slice);
    for Pair { first, second, .. } in &alike {
        if let ([a, ..], [b, ..]) = (members(*first), members(*second)) {
            clusters.join(*a, *b);
        }
    }
    let same = groups.iter().flat_map(|group| {
        let later = |(place, a): (usize, &u32)| (*a, group.iter().skip(place.saturating_add(1)));
        group.iter().enumerate().map(later).flat_map(|(a, later)| later.map(move |b| pair(a, *b, 1.0)))
    });
    let across = alike.iter().flat_map(|found| {
        let second = members(found.second);
        members(found.first).iter().flat_map(move |a| second.iter().map(|b| pair(*a, *b, found.similarity)))
    });
    let mut pairs: Vec<Pair> = same.chain(across).take(search.max_pairs.saturating_add(1)).collect();
    complete &= pairs.len() <= search.max_pairs;
    pairs.truncate(search.max_pairs);
    pairs.par_sort_unstable_by_key(|pair| (pair.first, pair.second));
    NearDuplicates { pairs, clusters: clusters.into_firsts(), complete }
}

fn pair(a: u32, b: u32, similarity: f64) -> Pair {
    Pair { first: a.min(b), second: a.max(b), similarity }
}

/// Places of equal sets that are not empty, groups and places in order.
fn equal_sets(sets: &[Vec<u64>]) -> Vec<Vec<u32>> {
    let mut order: Vec<(&Vec<u64>, u32)> = sets.iter().zip(0_u32..).filter(|(set, _)| !set.is_empty()).collect();
    order.par_sort_unstable();
    let mut groups: Vec<Vec<u32>> =
        order.chunk_by(|a, b| a.0 == b.0).map(|run| run.iter().map(|(_, place)| *place).collect()).collect();
    groups.par_sort_unstable();
    groups
}

/// Pairs that share a band of their signatures and reach the threshold.
fn likely_pairs(sets: &[&[u64]], threshold: f64, most: usize) -> (Vec<Pair>, bool) {
    let permutations = Permutations::new();
    let keys: Vec<BandKeys> = sets.par_iter().map(|set| permutations.bands(set)).collect();
    let verified = |candidates: &[(u32, u32)]| -> Vec<Pair> {
        candidates.par_iter().filter_map(|candidate| verify(sets, *candidate, threshold)).collect()
    };
    let (mut found, mut compared) = (Vec::new(), 0_usize);
    let mut slice = Vec::with_capacity(SLICE);
    for band in 0..BANDS {
        for candidate in sharing(&keys, band) {
            slice.push(candidate);
            if slice.len() == SLICE {
                found.extend(verified(&slice));
                compared = compared.saturating_add(slice.len());
                slice.clear();
                if found.len() > most || compared > MOST_CANDIDATES {
                    return (found, false);
                }
            }
        }
    }
    found.extend(verified(&slice));
    (found, true)
}

/// Pairs of sets that share this band and none before it.
fn sharing(keys: &[BandKeys], band: usize) -> impl Iterator<Item = (u32, u32)> {
    let mut order: Vec<(u64, u32)> =
        keys.iter().zip(0_u32..).filter_map(|(keys, set)| Some((*keys.get(band)?, set))).collect();
    order.par_sort_unstable();
    let (mut at, mut ahead) = (0_usize, 0_usize);
    let next = move || {
        loop {
            let (key, first) = *order.get(at)?;
            ahead = ahead.saturating_add(1);
            match order.get(at.saturating_add(ahead)) {
                Some((same, second)) if *same == key => return Some((first, *second)),
                _ => (at, ahead) = (at.saturating_add(1), 0),
            }
        }
    };
    std::iter::from_fn(next).filter(move |(first, second)| !share_earlier(keys, *first, *second, band))
}

fn share_earlier(keys: &[BandKeys], first: u32, second: u32, band: usize) -> bool {
    match (keys.get(first as usize), keys.get(second as usize)) {
        (Some(a), Some(b)) => a.iter().zip(b).take(band).any(|(a, b)| a == b),
        _ => false,
    }
}

fn verify(sets: &[&[u64]], (first, second): (u32, u32), threshold: f64) -> Option<Pair> {
    let (a, b) = (sets.get(first as usize)?, sets.get(second as usize)?);
    if (a.len().min(b.len()) as f64) < threshold * a.len().max(b.len()) as f64 {
        return None;
    }
    let similarity = jaccard(a, b);
    (similarity >= threshold).then_some(Pair { first, second, similarity })
}
