//! Seeded numbers for tests and benchmarks.

/// A stream of numbers that a seed determines on every machine (`SplitMix64`, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Inputs {
    state: u64,
    /// Whether NaN and infinities are among the numbers.
    strange: bool,
}

impl Inputs {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, strange: false }
    }

    /// The stream of a seed with a NaN or an infinity somewhere in every third vector.
    pub fn strange(seed: u64) -> Self {
        Self { state: seed, strange: true }
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
        let x = self.even(len, limit);
        self.spoiled(x)
    }

    /// `len` nearly normal numbers of variance 1 (the sum of twelve uniform ones).
    pub fn normal(&mut self, len: usize) -> Vec<f32> {
        let x = self.finite(len);
        self.spoiled(x)
    }

    /// As [`Inputs::normal`], none of them NaN or infinite.
    pub fn finite(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.even(12, 0.5).into_iter().sum()).collect()
    }

    fn even(&mut self, len: usize, limit: f32) -> Vec<f32> {
        let unit = |bits: u64| (bits >> 40) as f32 / 8_388_608.0 - 1.0;
        (0..len).map(|_| limit * unit(self.bits())).collect()
    }

    fn spoiled(&mut self, mut x: Vec<f32>) -> Vec<f32> {
        if self.strange && x.len() > 1 {
            let (place, kind) = (self.bits(), self.bits() % 9);
            let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            if let Some(&value) = strange.get(kind as usize) {
                let place = (place % x.len() as u64) as usize;
                x[place] = value;
            }
        }
        x
    }

    /// `len` integers in `0 .. below`.
    ///
    /// # Panics
    /// When `below` is zero.
    pub fn integers(&mut self, len: usize, below: usize) -> Vec<i32> {
        (0..len).map(|_| (self.bits() % below as u64) as i32).collect()
    }
}

/// The same numbers in float64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}
