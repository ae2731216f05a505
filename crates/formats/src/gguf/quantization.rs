//! The types of a file's matrices by name, and the mixtures of llama.cpp that the names stand for: which matrix gets which type
//! (llama-quant.cpp, `llama_tensor_get_type_impl`, `tensor_type_fallback`).

use crate::stored_type::StoredType;

/// How the matrices of a file are stored. Norms and biases are float32 in every file, as llama.cpp's converter has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// float32.
    F32,
    /// binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// 8 bits and a scale for 32 weights.
    Q8_0,
    /// 4 bits and a scale for 32 weights.
    Q4_0,
    /// 4 bits, a scale and a minimum for 32 weights.
    Q4_1,
    /// 5 bits and a scale for 32 weights.
    Q5_0,
    /// 5 bits, a scale and a minimum for 32 weights.
    Q5_1,
    /// `Q3_K` alone.
    Q3KS,
    /// `Q3_K` with more bits for values, attention output and down projection.
    Q3KM,
    /// As `Q3KM` with one bit more.
    Q3KL,
    /// `Q4_K` with `Q5_K` in the first layers.
    Q4KS,
    /// `Q4_K` with `Q6_K` for half of the values and down projections.
    Q4KM,
    /// `Q5_K` alone.
    Q5KS,
    /// `Q5_K` with `Q6_K` for half of the values and down projections.
    Q5KM,
    /// `Q6_K` alone.
    Q6K,
    /// 4 bits for sixteen uneven levels and a scale for 32 weights.
    Iq4Nl,
}

/// What the choice of a type depends on besides the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Mixed {
    /// Layers of the model.
    pub layers: usize,
    /// Query heads that share one key-value head.
    pub sharing: usize,
    /// The embedding is the head too.
    pub tied: bool,
    /// Columns have an importance.
    pub important: bool,
    /// The values are so small a share that they get more bits (llama.cpp's 70B models).
    pub wide_values: bool,
}

impl Quantization {
    /// All, by the names Unsloth and llama.cpp give them, in small letters.
    pub const NAMES: [(&'static str, Self); 17] = [
        ("f32", Self::F32),
        ("f16", Self::F16),
        ("bf16", Self::Bf16),
        ("q8_0", Self::Q8_0),
        ("q6_k", Self::Q6K),
        ("q5_k_m", Self::Q5KM),
        ("q5_k_s", Self::Q5KS),
        ("q5_1", Self::Q5_1),
        ("q5_0", Self::Q5_0),
        ("q4_k_m", Self::Q4KM),
        ("q4_k_s", Self::Q4KS),
        ("iq4_nl", Self::Iq4Nl),
        ("q4_1", Self::Q4_1),
        ("q4_0", Self::Q4_0),
        ("q3_k_l", Self::Q3KL),
        ("q3_k_m", Self::Q3KM),
        ("q3_k_s", Self::Q3KS),
    ];

    /// The name among [`Self::NAMES`].
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// `general.file_type` (llama.h, `llama_ftype`).
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q5_1 => 9,
            Self::Q3KS => 11,
            Self::Q3KM => 12,
            Self::Q3KL => 13,
            Self::Q4KS => 14,
            Self::Q4KM => 15,
            Self::Q5KS => 16,
            Self::Q5KM => 17,
            Self::Q6K => 18,
            Self::Iq4Nl => 25,
            Self::Bf16 => 32,
        }
    }

    /// The type of most matrices.
    fn plain(self) -> StoredType {
        match self {
            Self::F32 => StoredType::F32,
            Self::F16 => StoredType::F16,
            Self::Bf16 => StoredType::Bf16,
            Self::Q8_0 => StoredType::Q8_0,
            Self::Q4_0 => StoredType::Q4_0,
            Self::Q4_1 => StoredType::Q4_1,
            Self::Q5_0 => StoredType::Q5_0,
            Self::Q5_1 => StoredType::Q5_1,
            Self::Q3KS | Self::Q3KM | Self::Q3KL => StoredType::Q3K,
            Self::Q4KS | Self::Q4KM => StoredType::Q4K,
            Self::Q5KS | Self::Q5KM => StoredType::Q5K,
            Self::Q6K => StoredType::Q6K,
            Self::Iq4Nl => StoredType::Iq4Nl,
        }
    }

    /// The type of a matrix by its GGUF name. Rows that are not whole blocks take llama.cpp's substitutes, and binary16 where
    /// there is none.
    pub(super) fn of_matrix(self, name: &str, shape: &[usize], mixed: Mixed) -> StoredType {
        let plain = self.plain();
        if plain.block_elements() == 1 {
            return plain;
        }
        let whole = |stored: StoredType| stored.byte_len(shape).is_some();
        let wanted = if name == "output.weight" || (mixed.tied && name == "token_embd.weight") {
            if whole(plain) && plain != StoredType::Q8_0 { StoredType::Q6K } else { StoredType::Q8_0 }
        } else {
            self.of_layer(name, mixed)
        };
        let substitute = match wanted {
            StoredType::Q3K => StoredType::Q4_0,
            StoredType::Q4K => StoredType::Q5_0,
            StoredType::Q5K => StoredType::Q5_1,
            StoredType::Q6K => StoredType::Q8_0,
            other => other,
        };
        [wanted, substitute].into_iter().find(|&stored| whole(stored)).unwrap_or(StoredType::F16)
    }

    /// The type of a matrix `blk.N.PART.weight`.
    fn of_layer(self, name: &str, mixed: Mixed) -> StoredType {
        let plain = self.plain();
        let mut parts = name.split('.').skip(1);
        let layer = parts.next().and_then(|layer| layer.parse().ok());
        let (Some(layer), Some(part)) = (layer, parts.next()) else { return plain };
        match part {
            "attn_v" | "attn_qkv" => {
                let wanted = self.of_values(layer, mixed);
                let few = [StoredType::Q3K, StoredType::Q4K].contains(&wanted);
                if mixed.wide_values && few { StoredType::Q5K } else { wanted }
            }
            "ffn_down" => self.of_down(layer, mixed),
            "attn_output" => match self {
                Self::Q3KM => StoredType::Q4K,
                Self::Q3KL => StoredType::Q5K,
                _ => plain,
            },
            _ => plain,
        }
    }

    fn of_values(self, layer: usize, mixed: Mixed) -> StoredType {
        match self {
            Self::Q3KM if layer >= 2 => StoredType::Q4K,
            Self::Q3KM | Self::Q3KL => StoredType::Q5K,
            Self::Iq4Nl if mixed.sharing >= 4 => StoredType::Q5K,
            Self::Q4KM | Self::Q5KM if more_bits(layer, mixed.layers) => StoredType::Q6K,
            Self::Q4KS if layer < 4 => StoredType::Q5K,
            _ => self.plain(),
        }
    }

    fn of_down(self, layer: usize, mixed: Mixed) -> StoredType {
        let first = |part: usize| layer < mixed.layers.checked_div(part).unwrap_or(0);
        match self {
            Self::Q3KM if !first(16) => StoredType::Q4K,
            Self::Q3KM | Self::Q3KL => StoredType::Q5K,
            Self::Q4KM | Self::Q5KM if more_bits(layer, mixed.layers) => StoredType::Q6K,
            Self::Q4KS if first(8) => StoredType::Q5K,
            Self::Iq4Nl if first(8) && !mixed.important => StoredType::Q5K,
            // With an importance alone the first layers of these go wrong.
            Self::Q4_0 if first(8) && mixed.important => StoredType::Q4_1,
            Self::Q5_0 if first(8) && mixed.important => StoredType::Q5_1,
            _ => self.plain(),
        }
    }
}

/// The first and last eighth of the layers, and every third between.
fn more_bits(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= layers.saturating_mul(7) / 8 || layer.saturating_sub(eighth) % 3 == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: Mixed = Mixed { layers: 24, sharing: 3, tied: false, important: false, wide_values: false };

    fn types(quantization: Quantization, part: &str, mixed: Mixed) -> Vec<StoredType> {
        let of = |layer| quantization.of_matrix(&format!("blk.{layer}.{part}.weight"), &[8, 512], mixed);
        (0..mixed.layers).map(of).collect()
    }

    #[test]
    fn half_of_the_down_projections_of_q4_k_m_have_six_bits() {
        let six: Vec<usize> = types(Quantization::Q4KM, "ffn_down", MIXED)
            .into_iter()
            .enumerate()
            .filter_map(|(layer, stored)| (stored == StoredType::Q6K).then_some(layer))
            .collect();
        assert_eq!(six, [0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23]);
        assert!(types(Quantization::Q4KM, "attn_q", MIXED).iter().all(|&stored| stored == StoredType::Q4K));
    }

    #[test]
    fn first_layers_and_wide_values_of_the_smaller_mixtures() {
        let values = types(Quantization::Q4KS, "attn_v", MIXED);
        assert_eq!(values[3..5], [StoredType::Q5K, StoredType::Q4K]);
        assert_eq!(types(Quantization::Q3KM, "attn_v", MIXED)[1..3], [StoredType::Q5K, StoredType::Q4K]);
        assert_eq!(types(Quantization::Q3KM, "ffn_down", MIXED)[..2], [StoredType::Q5K, StoredType::Q4K]);
        let wide = Mixed { wide_values: true, ..MIXED };
        assert!(types(Quantization::Q4KS, "attn_v", wide).iter().all(|&stored| stored == StoredType::Q5K));
    }

    #[test]
    fn rows_that_are_not_whole_blocks_take_the_substitutes_of_llama_cpp() {
        let of = |quantization: Quantization, name: &str, columns: usize, tied: bool| {
            quantization.of_matrix(name, &[8, columns], Mixed { tied, ..MIXED })
        };
        let query = "blk.6.attn_q.weight";
        assert_eq!(of(Quantization::Q4KM, query, 576, true), StoredType::Q5_0);
        assert_eq!(of(Quantization::Q3KM, query, 576, true), StoredType::Q4_0);
        assert_eq!(of(Quantization::Q5KM, query, 576, true), StoredType::Q5_1);
        assert_eq!(of(Quantization::Q6K, query, 576, true), StoredType::Q8_0);
        assert_eq!(of(Quantization::Q4KM, query, 40, true), StoredType::F16);
        assert_eq!(of(Quantization::Q4KM, "token_embd.weight", 512, true), StoredType::Q6K);
        assert_eq!(of(Quantization::Q4KM, "token_embd.weight", 512, false), StoredType::Q4K);
        assert_eq!(of(Quantization::Q4KM, "output.weight", 576, false), StoredType::Q8_0);
        assert_eq!(of(Quantization::Q8_0, "output.weight", 512, false), StoredType::Q8_0);
    }

    #[test]
    fn an_importance_changes_three_mixtures() {
        let important = Mixed { important: true, ..MIXED };
        for (quantization, without, with) in [
            (Quantization::Q4_0, StoredType::Q4_0, StoredType::Q4_1),
            (Quantization::Q5_0, StoredType::Q5_0, StoredType::Q5_1),
            (Quantization::Iq4Nl, StoredType::Q5K, StoredType::Iq4Nl),
        ] {
            assert_eq!(types(quantization, "ffn_down", MIXED)[0], without);
            assert_eq!(types(quantization, "ffn_down", important)[0], with);
            assert_eq!(types(quantization, "ffn_down", MIXED)[3], types(quantization, "ffn_down", important)[3]);
        }
    }
}
