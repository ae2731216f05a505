//! A model's weights from its files into the decoder: frozen, quantized, or trained.

mod checked;
mod grown;
mod layer;
mod model;
mod nf4_cache;
mod options;
mod quantize;
mod weights;

pub use grown::{Grown, NewRows, adapter_rows};
pub use model::{Loaded, load};
pub use options::{QuantType, WeightDtype, WeightOptions};
pub use quantize::QuantizationInfo;
