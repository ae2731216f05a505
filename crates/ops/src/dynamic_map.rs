//! The code books of eight bits that bitsandbytes calls dynamic maps (Dettmers 2016, arXiv:1511.04561): 256 values each, sorted.

use std::sync::OnceLock;

/// One of them: the value of each code.
pub type CodeBook = [f32; 256];

/// Values from −1 to 1: zero, one and, for `i` in 0 … 6, ± the means of neighbours among `2^i + 1` points from 0.1 to 1, times
/// `10^(i − 6)`. The points are those of torch's `linspace`: from both ends towards the middle, one rounding each.
pub fn signed() -> &'static CodeBook {
    static BOOK: OnceLock<CodeBook> = OnceLock::new();
    BOOK.get_or_init(|| book(0, &[1.0, -1.0]))
}

/// Values from 0 to 1: the same with `2^(i + 1) + 1` points and no negative ones.
pub fn unsigned() -> &'static CodeBook {
    static BOOK: OnceLock<CodeBook> = OnceLock::new();
    BOOK.get_or_init(|| book(1, &[1.0]))
}

fn book(more: u32, signs: &[f32]) -> CodeBook {
    let mut values = vec![0.0, 1.0];
    for i in 0..7 {
        let n = (1_usize << (i + more)) + 1;
        let step = (1.0 - 0.1_f32) / (n - 1) as f32;
        let point =
            |j: usize| if j < n / 2 { step.mul_add(j as f32, 0.1) } else { (-step).mul_add((n - 1 - j) as f32, 1.0) };
        let power = 10.0_f64.powi(i as i32 - 6) as f32;
        for j in 0..n - 1 {
            let value = f32::midpoint(point(j), point(j + 1)) * power;
            values.extend(signs.iter().map(|sign| sign * value));
        }
    }
    values.sort_by(f32::total_cmp);
    let mut book = [0.0; 256];
    book.copy_from_slice(&values);
    book
}

/// The midpoints between neighbouring values, in float32: the nearest code of `x` is the number of midpoints below it.
pub fn midpoints(book: &CodeBook) -> [f32; 255] {
    std::array::from_fn(|i| f32::midpoint(book[i], book[i + 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_books_are_sorted_and_end_where_bitsandbytes_has_them() {
        for book in [signed(), unsigned()] {
            assert!(book.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!(book[255].to_bits(), 1.0_f32.to_bits());
        }
        let near = |got: f32, want: f32| assert!((got - want).abs() <= 1e-6 * want.abs(), "{got} and {want}");
        near(signed()[0], -0.992_968_75);
        near(signed()[128], 5.5e-7);
        near(unsigned()[1], 3.25e-7);
        near(unsigned()[254], 0.996_484_4);
        assert_eq!((signed()[127].to_bits(), unsigned()[0].to_bits()), (0, 0));
    }
}
