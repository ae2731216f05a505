//! Random weights by counting: the same numbers here and in `benchmarks/gpu/peers/generator.py`, so that two programs train
//! the same model of any size without a file between them.
//!
//! Word `i` of a tensor is `mix(i · 0x9E3779B9 ^ key)`, its key `mix(fnv1a(name) ^ seed)`, `mix` the finalizer of MurmurHash3
//! (Appleby). All integers are 32 bits and wrap.

use half::bf16;

const GOLDEN: u32 = 0x9E37_79B9;
/// Four bytes added up: mean 510, deviation √(4 · (256² − 1) / 12); nearly normal, and exact in any arithmetic.
const BYTES_MEAN: i32 = 510;
const BYTES_DEVIATION: f64 = 147.800_53;

fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

/// One stream of words.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    key: u32,
}

impl Stream {
    /// The stream of a name under a seed.
    pub fn new(name: &str, seed: u32) -> Self {
        let hashed =
            name.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { key: mix(hashed ^ seed) }
    }

    /// Word `index`.
    pub fn word(self, index: usize) -> u32 {
        mix((index as u32).wrapping_mul(GOLDEN) ^ self.key)
    }

    /// Nearly normal, mean 0 and deviation `147.8`: an integer.
    fn bell(self, index: usize) -> i32 {
        self.word(index).to_le_bytes().into_iter().map(i32::from).sum::<i32>() - BYTES_MEAN
    }

    /// Nearly normal with deviation 1.
    pub fn standard_normal(self, index: usize) -> f64 {
        f64::from(self.bell(index)) / BYTES_DEVIATION
    }

    /// Even in `[0, 1)`, 24 bits.
    pub fn unit(self, index: usize) -> f32 {
        (self.word(index) >> 8) as f32 * (-24_f32).exp2()
    }

    /// Little-endian bfloat16 bytes of `len` nearly normal numbers.
    pub fn normal(self, len: usize, mean: f32, deviation: f64) -> Vec<u8> {
        let scale = (deviation / BYTES_DEVIATION) as f32;
        filled(2 * len, |byte, part| {
            for (offset, pair) in part.chunks_exact_mut(2).enumerate() {
                let number = self.bell(byte / 2 + offset) as f32 * scale + mean;
                pair.copy_from_slice(&bf16::from_f32(number).to_bits().to_le_bytes());
            }
        })
    }

    /// Bytes of the words, the lowest first.
    pub fn bytes(self, len: usize) -> Vec<u8> {
        filled(len, |byte, part| {
            for (offset, four) in part.chunks_mut(4).enumerate() {
                four.copy_from_slice(&self.word(byte / 4 + offset).to_le_bytes()[..four.len()]);
            }
        })
    }

    /// Scales of the second level of NF4, between a quarter and three quarters of `typical`: little-endian float32.
    pub fn nested_scales(self, len: usize, typical: f32) -> Vec<u8> {
        (0..len).flat_map(|index| ((self.unit(index) * 0.5 + 0.25) * typical).to_le_bytes()).collect()
    }
}

/// Bytes written by every core of the machine, each a part whose first byte (a multiple of 4) it is told.
fn filled(len: usize, fill: impl Fn(usize, &mut [u8]) + Sync) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = len.div_ceil(threads).next_multiple_of(4).max(1 << 16);
    std::thread::scope(|scope| {
        for (index, chunk) in bytes.chunks_mut(part).enumerate() {
            let fill = &fill;
            scope.spawn(move || fill(index * part, chunk));
        }
    });
    bytes
}

#[cfg(test)]
mod tests {
    use super::Stream;

    // What generator.py gives for the same names and seed.
    #[test]
    fn the_same_numbers_as_the_peers() {
        let stream = Stream::new("a.weight", 7);
        assert_eq!([0, 1, 2].map(|index| stream.word(index)), [4_007_282_790, 1_438_807_603, 1_511_856_703]);
        let numbers: Vec<f32> =
            stream.normal(4, 0.0, 0.02).chunks(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect();
        assert!(
            numbers.iter().zip([0.0162, -0.0084, -0.0408, -0.0103]).all(|(a, b)| (a - b).abs() < 6e-5),
            "{numbers:?}"
        );
        assert_eq!(Stream::new("c", 7).bytes(10), [104, 41, 52, 129, 2, 232, 23, 233, 171, 31]);
        let scales: Vec<f32> = Stream::new("n", 7)
            .nested_scales(3, 0.04)
            .chunks(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        assert_eq!(scales, [0.029_286_873, 0.029_048_879, 0.013_833_188]);
    }

    #[test]
    fn every_core_writes_the_same_stream() {
        let stream = Stream::new("long", 1);
        let bytes = stream.bytes(300_001);
        assert!((0..bytes.len()).all(|i| bytes[i] == stream.word(i / 4).to_le_bytes()[i % 4]));
    }
}
