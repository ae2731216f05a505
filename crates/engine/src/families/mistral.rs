//! Mistral: a sliding window over every layer (arXiv:2310.06825).

use super::family::{Family, PLAIN, SlidingWindow, WindowedLayers};

pub(super) const FAMILY: Family = Family {
    model_type: "mistral",
    windows: Some(SlidingWindow { switched: false, absent: Some(4096), layers: WindowedLayers::Every }),
    ..PLAIN
};
