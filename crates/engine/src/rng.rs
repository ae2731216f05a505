//! Counter-based random numbers: no state but integers, so nothing has to be saved and no order matters.

use tunesmith_ops::philox;

/// What a stream of numbers is for; streams of one seed never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial values of LoRA's A.
    AdapterInit = 1,
    /// Choosing a token while generating.
    Sampling = 2,
    /// Keys of the dropout masks of adapters.
    Dropout = 3,
    /// Keys of the noise on embeddings.
    Noise = 4,
    /// Keys of the dropout masks of the residual stream.
    ResidualDropout = 5,
}

/// The generator of one seed: `philox` keyed by it.
#[derive(Debug, Clone, Copy)]
pub struct Philox {
    key: u64,
}

impl Philox {
    /// A generator for one seed.
    pub fn new(seed: u64) -> Self {
        Self { key: seed }
    }

    /// 64 random bits for one place in one stream.
    pub fn bits(&self, purpose: Purpose, stream: u32, place: u64) -> u64 {
        let [a, b, ..] = philox(self.key, [place as u32, (place >> 32) as u32, stream, purpose as u32]);
        u64::from(a) | u64::from(b) << 32
    }

    /// A number in [0, 1) with 53 random bits, for one place in one stream.
    pub fn uniform(&self, purpose: Purpose, stream: u32, place: u64) -> f64 {
        let [a, b, ..] = philox(self.key, [place as u32, (place >> 32) as u32, stream, purpose as u32]);
        let bits = (u64::from(a) << 21) ^ (u64::from(b) >> 11);
        bits as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_stays_in_range_and_depends_on_every_key() {
        let rng = Philox::new(7);
        let mut sum = 0.0;
        for place in 0..1000 {
            let u = rng.uniform(Purpose::Sampling, 3, place);
            assert!((0.0..1.0).contains(&u));
            sum += u;
        }
        assert!((sum / 1000.0 - 0.5).abs() < 0.05);
        let bits = |seed, purpose, stream| Philox::new(seed).uniform(purpose, stream, 0).to_bits();
        let base = bits(7, Purpose::Sampling, 3);
        assert_ne!(base, bits(7, Purpose::Sampling, 4));
        assert_ne!(base, bits(7, Purpose::AdapterInit, 3));
        assert_ne!(base, bits(8, Purpose::Sampling, 3));
    }

    #[test]
    fn bits_depend_on_every_key() {
        let bits = |seed, purpose, stream, place| Philox::new(seed).bits(purpose, stream, place);
        let base = bits(7, Purpose::Dropout, 3, 1 << 40);
        for other in [
            bits(8, Purpose::Dropout, 3, 1 << 40),
            bits(7, Purpose::Sampling, 3, 1 << 40),
            bits(7, Purpose::Dropout, 4, 1 << 40),
            bits(7, Purpose::Dropout, 3, 1 << 41),
        ] {
            assert_ne!(base, other);
        }
    }
}
