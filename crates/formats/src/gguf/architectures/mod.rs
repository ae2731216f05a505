//! How each decoder is stored in a GGUF file, as data: one row per architecture of llama.cpp, for reading and for writing.
//! Names, keys and what an architecture cannot express are those of llama.cpp's converter and loaders
//! (`conversion/`, `src/models/`).

mod architecture;
mod gemma2;
mod gemma3;
mod granite;
mod llama;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen3;
mod smollm3;

pub use architecture::{Absent, Architecture, Head, Key, SlidingWindows};

/// Every architecture.
pub static ARCHITECTURES: [&Architecture; 9] = [
    &llama::ARCHITECTURE,
    &qwen2::ARCHITECTURE,
    &qwen3::ARCHITECTURE,
    &gemma2::ARCHITECTURE,
    &gemma3::ARCHITECTURE,
    &phi3::ARCHITECTURE,
    &smollm3::ARCHITECTURE,
    &olmo2::ARCHITECTURE,
    &granite::ARCHITECTURE,
];

#[cfg(test)]
mod tests {
    use super::architecture::PartKind;
    use super::*;

    #[test]
    fn names_and_strangers() {
        let [llama, qwen2, ..] = ARCHITECTURES;
        let mapped = llama.hugging_face_name("blk.11.attn_k.bias").unwrap();
        assert_eq!(mapped, "model.layers.11.self_attn.k_proj.bias");
        assert!(llama.is_rotated(&mapped) && !llama.is_rotated("model.layers.0.self_attn.q_norm.weight"));
        assert!(!qwen2.is_rotated(&mapped));
        for stranger in
            ["blk.0.ffn_gate_exps.weight", "blk.x.attn_q.weight", "blk.0.attn_q.scale", "rope_freqs.weight", "blk.0"]
        {
            assert_eq!(llama.hugging_face_name(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn every_name_leads_back_to_itself() {
        for architecture in ARCHITECTURES {
            for part in architecture.parts {
                let name = format!("model.layers.3.{}.weight", part.hugging_face);
                let gguf = architecture.gguf_name(&name).unwrap();
                assert_eq!(architecture.hugging_face_name(&gguf).as_deref(), Some(name.as_str()));
                let bias = name.replace("weight", "bias");
                assert_eq!(architecture.gguf_name(&bias).is_some(), part.kind == PartKind::Biased, "{bias}");
            }
        }
    }
}
