//! Seeded numbers for tests and benchmarks.

/// A stream of numbers that a seed determines on every machine (`SplitMix64`, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Inputs {
    state: u64,
}

impl Inputs {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `len` numbers evenly spread over `-limit .. limit`.
    pub fn uniform(&mut self, len: usize, limit: f32) -> Vec<f32> {
        let unit = |bits: u64| (bits >> 40) as f32 / 8_388_608.0 - 1.0;
        (0..len).map(|_| limit * unit(self.bits())).collect()
    }

    /// `len` nearly normal numbers of variance 1 (the sum of twelve uniform ones).
    pub fn normal(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.uniform(12, 0.5).into_iter().sum()).collect()
    }

    /// `len` integers in `0 .. below`.
    ///
    /// # Panics
    /// When `below` is zero.
    pub fn integers(&mut self, len: usize, below: usize) -> Vec<i32> {
        (0..len).map(|_| (self.bits() % below as u64) as i32).collect()
    }
}

/// The same numbers in binary64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}
