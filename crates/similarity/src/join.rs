//! Compares every set with every other, by an index from shingles to sets.

use rayon::prelude::*;

use crate::pair::Pair;
use crate::shingles::similarity_of;

/// All pairs of sets at or over a threshold; at most about `most` of them, and whether that is all.
pub fn all_pairs(sets: &[&[u64]], threshold: f64, most: usize) -> (Vec<Pair>, bool) {
    let (terms, postings) = index(sets);
    let pairs_of = |counts: &mut Vec<u32>, (later, terms): (usize, &Vec<u32>)| -> Vec<Pair> {
        counts.clear();
        counts.resize(later, 0);
        for posting in terms.iter().filter_map(|term| postings.get(*term as usize)) {
            for earlier in posting {
                match counts.get_mut(*earlier as usize) {
                    Some(count) => *count = count.saturating_add(1),
                    None => break,
                }
            }
        }
        let size = sets.get(later).map_or(0, |set| set.len());
        let with = |(earlier, (count, set)): (usize, (&u32, &&[u64]))| {
            let similarity = similarity_of(*count as usize, set.len(), size);
            (similarity >= threshold).then_some(Pair { first: earlier as u32, second: later as u32, similarity })
        };
        counts.iter().zip(sets).enumerate().filter_map(with).collect()
    };
    let mut found = Vec::new();
    let numbered: Vec<(usize, &Vec<u32>)> = terms.iter().enumerate().collect();
    // In slices, so that no more is held than is asked for.
    for slice in numbered.chunks(256) {
        let pairs: Vec<Vec<Pair>> =
            slice.par_iter().map_init(Vec::new, |counts, entry| pairs_of(counts, *entry)).collect();
        found.extend(pairs.into_iter().flatten());
        if found.len() > most {
            return (found, false);
        }
    }
    (found, true)
}

/// The shingles of each set that others have too, as numbers, and by number the sets that have it.
fn index(sets: &[&[u64]]) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let numbered = sets.iter().enumerate();
    let mut places: Vec<(u64, u32)> =
        numbered.flat_map(|(set, shingles)| shingles.iter().map(move |shingle| (*shingle, set as u32))).collect();
    places.par_sort_unstable();
    let mut terms = vec![Vec::new(); sets.len()];
    let mut postings = Vec::new();
    for run in places.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        for (_, set) in run {
            if let Some(terms) = terms.get_mut(*set as usize) {
                terms.push(postings.len() as u32);
            }
        }
        postings.push(run.iter().map(|(_, set)| *set).collect());
    }
    (terms, postings)
}
