//! What an error in an element of a row counts.

/// How much an error in each column of a row matters: the mean square of what the column is multiplied with
/// (llama.cpp's importance matrix). None: every column the same.
pub type Importance<'a> = Option<&'a [f32]>;

/// What an error in each element counts where its column has an importance: large elements more than small ones.
pub fn weigh(importance: &[f32], spread: f32, values: &[f32], weights: &mut [f32]) {
    for ((weight, &importance), &value) in weights.iter_mut().zip(importance).zip(values) {
        *weight = importance * (spread + value * value).sqrt();
    }
}

/// In order: its bits decide those of the block.
pub fn square_sum(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |sum, value| sum + value * value)
}
