//! How alike texts are. Every call works on a thread of its own and, from there, on all processors.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use napi::Env;
use napi::bindgen_prelude::{Float64Array, Int32Array, Object};
use napi_derive::napi;
use tunesmith_similarity::{self as similarity, MostSimilar, Ngrams, Search, Shingling, Unit};

use crate::deferred::in_background;

/// What a pool knows of candidates.
#[napi(object)]
pub struct MostSimilarTexts {
    /// Place of the most similar text of the pool, -1 for none.
    pub indices: Int32Array,
    /// Its ROUGE-L F-measure.
    pub scores: Float64Array,
}

/// The n-grams of texts, one entry a text.
#[napi(object)]
pub struct NgramCounts {
    /// All, with repeats.
    pub totals: Int32Array,
    /// Different ones.
    pub distinct: Int32Array,
    /// How often the most frequent one stands there.
    pub most: Int32Array,
    /// That one.
    pub frequent: Vec<String>,
}

/// The n-grams of all texts together.
#[napi(object)]
pub struct DistinctNgrams {
    /// All, with repeats.
    pub total: f64,
    /// Different ones.
    pub distinct: f64,
}

/// What is looked for among texts.
#[napi(object)]
pub struct NearDuplicateOptions {
    /// Whether shingles are made of characters; of words otherwise.
    pub characters: bool,
    /// Words or characters of a shingle.
    pub size: u32,
    /// Least Jaccard similarity.
    pub threshold: f64,
    /// Pairs that are given at most.
    pub max_pairs: u32,
}

/// Pairs of texts that are nearly the same.
#[napi(object)]
pub struct NearDuplicatePairs {
    /// Place of the earlier text of each pair.
    pub first: Int32Array,
    /// Place of the later one.
    pub second: Int32Array,
    /// Jaccard similarity of each pair.
    pub similarities: Float64Array,
    /// By text: the first text of those it hangs together with.
    pub clusters: Int32Array,
    /// Whether these are all pairs.
    pub complete: bool,
}

/// Texts that are handed over part by part: to copy a hundred thousand of them at once would hold the event loop. The call that is
/// given the list takes them out of it.
#[napi]
pub struct TextList(Mutex<Vec<String>>);

#[napi]
impl TextList {
    /// A list without texts.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// Adds texts at the end.
    #[napi(catch_unwind)]
    pub fn push(&self, texts: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(texts);
    }

    fn take(&self) -> Vec<String> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Texts to compare with by ROUGE-L.
#[napi]
pub struct RougePool(Arc<RwLock<similarity::RougePool>>);

#[napi]
impl RougePool {
    /// A pool without texts.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Adds texts, each at the next place; gives how many there are then.
    #[napi(catch_unwind, ts_return_type = "Promise<number>")]
    pub fn add<'env>(&self, env: &'env Env, texts: Vec<String>) -> napi::Result<Object<'env>> {
        let pool = Arc::clone(&self.0);
        let work = move || {
            // A panic in the middle would leave a text in part, which no later call could mistake for another.
            let mut pool = pool.write().unwrap_or_else(PoisonError::into_inner);
            pool.add(&texts);
            Ok(pool.len() as u32)
        };
        in_background(env, "rougePool", work, |_, count| Ok(count))
    }

    /// The most similar text of the pool for each candidate.
    #[napi(catch_unwind, ts_return_type = "Promise<MostSimilarTexts>")]
    pub fn most_similar<'env>(&self, env: &'env Env, candidates: Vec<String>) -> napi::Result<Object<'env>> {
        let pool = Arc::clone(&self.0);
        let work = move || Ok(pool.read().unwrap_or_else(PoisonError::into_inner).most_similar(&candidates));
        in_background(env, "rougePool", work, |_, found: Vec<MostSimilar>| {
            let places = found.iter().map(|found| found.index.map_or(-1, |index| index as i32));
            Ok(MostSimilarTexts {
                indices: Int32Array::new(places.collect()),
                scores: Float64Array::new(found.iter().map(|found| found.score).collect()),
            })
        })
    }
}

/// ROUGE-L F-measures of texts with others, pair by pair; both are equally many.
#[napi(catch_unwind, ts_return_type = "Promise<Float64Array>")]
pub fn rouge_l(env: &Env, targets: Vec<String>, predictions: Vec<String>) -> napi::Result<Object<'_>> {
    let work = move || {
        let pairs = targets.iter().zip(&predictions);
        Ok(pairs.map(|(target, prediction)| similarity::rouge_l(target, prediction)).collect())
    };
    in_background(env, "rougeL", work, |_, scores: Vec<f64>| Ok(Float64Array::new(scores)))
}

/// Counts the n-grams of each text.
#[napi(catch_unwind, ts_return_type = "Promise<NgramCounts>")]
pub fn count_ngrams(env: &Env, texts: Vec<String>, n: u32) -> napi::Result<Object<'_>> {
    let work = move || Ok(similarity::count_ngrams(&texts, n as usize));
    in_background(env, "countNgrams", work, |_, counted: Vec<Ngrams>| {
        let numbers =
            |of: fn(&Ngrams) -> u32| Int32Array::new(counted.iter().map(|ngrams| of(ngrams) as i32).collect());
        Ok(NgramCounts {
            totals: numbers(|ngrams| ngrams.total),
            distinct: numbers(|ngrams| ngrams.distinct),
            most: numbers(|ngrams| ngrams.most),
            frequent: counted.iter().map(|ngrams| ngrams.frequent.clone()).collect(),
        })
    })
}

/// Counts the n-grams of all texts together.
#[napi(catch_unwind, ts_return_type = "Promise<DistinctNgrams>")]
pub fn distinct_ngrams<'env>(env: &'env Env, texts: &TextList, n: u32) -> napi::Result<Object<'env>> {
    let texts = texts.take();
    let work = move || Ok(similarity::distinct_ngrams(&texts, n as usize));
    in_background(env, "distinctNgrams", work, |_, (total, distinct)| {
        Ok(DistinctNgrams { total: total as f64, distinct: distinct as f64 })
    })
}

/// Finds near duplicates among texts.
#[napi(catch_unwind, ts_return_type = "Promise<NearDuplicatePairs>")]
pub fn near_duplicates<'env>(
    env: &'env Env,
    texts: &TextList,
    options: NearDuplicateOptions,
) -> napi::Result<Object<'env>> {
    let texts = texts.take();
    let search = Search {
        shingling: Shingling {
            unit: if options.characters { Unit::Character } else { Unit::Word },
            size: options.size as usize,
        },
        threshold: options.threshold,
        max_pairs: options.max_pairs as usize,
    };
    let work = move || Ok(similarity::near_duplicates(&texts, search));
    in_background(env, "nearDuplicates", work, |_, found: similarity::NearDuplicates| {
        let places = |of: fn(&similarity::Pair) -> u32| {
            Int32Array::new(found.pairs.iter().map(|pair| of(pair) as i32).collect())
        };
        Ok(NearDuplicatePairs {
            first: places(|pair| pair.first),
            second: places(|pair| pair.second),
            similarities: Float64Array::new(found.pairs.iter().map(|pair| pair.similarity).collect()),
            clusters: Int32Array::new(found.clusters.iter().map(|first| *first as i32).collect()),
            complete: found.complete,
        })
    })
}
