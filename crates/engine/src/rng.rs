//! Counter-based random numbers: no state but integers, so nothing has to be saved and no order matters.

/// What a stream of numbers is for; streams of one seed never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial values of LoRA's A.
    AdapterInit = 1,
    /// Choosing a token while generating.
    Sampling = 2,
}

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), keyed by a seed.
#[derive(Debug, Clone, Copy)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// A generator for one seed.
    pub fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32] }
    }

    /// Four uniform 32-bit words for one counter.
    pub fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
        const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
        let [mut a, mut b, mut c, mut d] = counter;
        let [mut k0, mut k1] = self.key;
        for _ in 0..10 {
            let p0 = u64::from(MULTIPLIERS[0]) * u64::from(a);
            let p1 = u64::from(MULTIPLIERS[1]) * u64::from(c);
            (a, b, c, d) = ((p1 >> 32) as u32 ^ b ^ k0, p1 as u32, (p0 >> 32) as u32 ^ d ^ k1, p0 as u32);
            k0 = k0.wrapping_add(WEYL[0]);
            k1 = k1.wrapping_add(WEYL[1]);
        }
        [a, b, c, d]
    }

    /// A number in [0, 1) with 53 random bits, for one place in one stream.
    pub fn uniform(&self, purpose: Purpose, stream: u32, place: u64) -> f64 {
        let [a, b, ..] = self.block([place as u32, (place >> 32) as u32, stream, purpose as u32]);
        let bits = (u64::from(a) << 21) ^ (u64::from(b) >> 11);
        bits as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Known answers of the reference implementation (Random123, kat_vectors).
    #[test]
    fn known_answers() {
        let zero = Philox::new(0).block([0; 4]);
        assert_eq!(zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = Philox::new(u64::MAX).block([u32::MAX; 4]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

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
}
