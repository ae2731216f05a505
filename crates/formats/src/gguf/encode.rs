//! The stored form of a matrix, its rows shared out over threads: each row is quantised by itself, so that the bytes are the same
//! with any number of them.

use std::sync::{Mutex, PoisonError};

use tunesmith_ops::{Code, Error, Result};

use crate::quantize::{Importance, Refusal, quantize};
use crate::safetensors::TensorSpec;
use crate::stored_tensor::RowOrder;
use crate::stored_type::StoredType;

/// Elements that a thread takes at a time: a few milliseconds of a search.
const PIECE: usize = 1 << 15;

/// A matrix on its way into a file.
pub struct Matrix<'a> {
    /// For errors.
    pub name: &'a str,
    /// Its place in the file.
    pub spec: &'a TensorSpec,
    /// Order of the rows in the file.
    pub order: RowOrder,
    /// In the order of the shape.
    pub values: &'a [f32],
    /// One number per column.
    pub importance: Importance<'a>,
}

impl Matrix<'_> {
    /// Writes the stored form, rows in the order of the file, over `bytes`. Zero threads: as many as the process may use.
    ///
    /// # Errors
    /// `NonFinite` names the first row of the file that the type cannot hold; `ModelUnsupported` a type that is never written.
    pub fn encode(&self, threads: usize, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        let TensorSpec { stored, shape, .. } = self.spec;
        let rows = if shape.len() == 1 { 1 } else { shape.first().copied().unwrap_or(1) };
        let columns = self.values.len().checked_div(rows).unwrap_or(0);
        let row_bytes = stored.byte_len(&[columns]).unwrap_or(0);
        if columns == 0 || row_bytes == 0 {
            return Ok(());
        }
        bytes.resize(rows.saturating_mul(row_bytes), 0);
        let order = self.places(rows);
        let piece = PIECE.checked_div(columns).unwrap_or(1).max(1);
        let pieces = order.chunks(piece).zip(bytes.chunks_mut(row_bytes.saturating_mul(piece)));
        let left = Mutex::new(pieces.enumerate());
        // The first of the file, whichever thread meets it.
        let refused: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        let work = || {
            let mut written = Vec::new();
            loop {
                // Taken by itself: the guard must not live as long as the piece.
                let taken = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, (rows, target))) = taken else { break };
                written.clear();
                let result = rows.iter().try_for_each(|&row| self.row(row, columns, *stored, &mut written));
                match result {
                    Ok(()) => target.copy_from_slice(&written),
                    Err(error) => {
                        let mut first = refused.lock().unwrap_or_else(PoisonError::into_inner);
                        if first.as_ref().is_none_or(|(known, _)| index < *known) {
                            *first = Some((index, error));
                        }
                        break;
                    }
                }
            }
        };
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            given => given,
        };
        let helpers = threads.min(order.len().div_ceil(piece)).saturating_sub(1);
        std::thread::scope(|scope| {
            (0..helpers).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        refused.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The row of the shape that stands at each place of the file.
    fn places(&self, rows: usize) -> Vec<usize> {
        let mut places: Vec<(usize, usize)> = (0..rows).map(|row| (self.order.file_row(row), row)).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, row)| row).collect()
    }

    fn row(&self, row: usize, columns: usize, stored: StoredType, out: &mut Vec<u8>) -> Result<()> {
        let start = row.saturating_mul(columns);
        let values = self.values.get(start..start.saturating_add(columns)).unwrap_or_default();
        quantize(stored, values, self.importance, out).map_err(|refusal| match refusal {
            Refusal::Element(place) => {
                let block = values.iter().skip(place).take(stored.block_elements());
                let got = block.max_by(|one, other| one.abs().total_cmp(&other.abs()));
                let message = format!(
                    "expected weights that {} holds, got {} in row {row}; write another type, such as bf16",
                    stored.name(),
                    got.copied().unwrap_or(f32::NAN)
                );
                Error::new(Code::NonFinite, self.name, message)
            }
            Refusal::Type => {
                let message = format!("expected a type that is written, got {}", stored.name());
                Error::new(Code::ModelUnsupported, self.name, message)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(stored: StoredType, order: RowOrder, values: &[f32], rows: usize, threads: usize) -> Result<Vec<u8>> {
        let shape = vec![rows, values.len() / rows];
        let spec = TensorSpec { name: "w".to_owned(), stored, shape };
        let mut bytes = vec![7; 3];
        Matrix { name: "w", spec: &spec, order, values, importance: None }.encode(threads, &mut bytes)?;
        Ok(bytes)
    }

    /// Numbers without a pattern of the length of a block.
    fn weights(count: usize) -> Vec<f32> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / 16_777_216.0 - 0.5
        };
        (0..count).map(|_| next() * next()).collect()
    }

    #[test]
    fn any_number_of_threads_writes_the_same_bytes() {
        let values = weights(300 * 512);
        for stored in [StoredType::Q4K, StoredType::Q6K, StoredType::Iq4Nl, StoredType::F16] {
            for order in [RowOrder::Natural, RowOrder::Interleaved { head_dim: 4 }] {
                let one = encoded(stored, order, &values, 300, 1).unwrap();
                assert_eq!(one.len(), stored.byte_len(&[300, 512]).unwrap());
                for threads in [2, 3, 8] {
                    assert!(encoded(stored, order, &values, 300, threads).unwrap() == one, "{stored:?} {threads}");
                }
            }
        }
    }

    #[test]
    fn the_first_row_that_does_not_fit_is_named_with_any_number_of_threads() {
        let mut values = weights(300 * 512);
        (values[250 * 512 + 3], values[120 * 512 + 7]) = (f32::INFINITY, 1e30);
        for threads in [1, 4] {
            let error = encoded(StoredType::Q4K, RowOrder::Natural, &values, 300, threads).unwrap_err();
            assert_eq!(error.code, Code::NonFinite);
            assert!(error.message.contains("row 120"), "{}", error.message);
        }
    }
}
