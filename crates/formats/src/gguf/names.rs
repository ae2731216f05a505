//! GGUF tensor names to Hugging Face names, for the decoders whose tensors differ in name only.

/// Parts of a layer: GGUF, Hugging Face.
const LAYER_PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The Hugging Face name; None where the tensor has no place in these decoders.
pub fn hugging_face_name(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        "output.weight" => return Some("lm_head.weight".to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))?;
    let number: u32 = layer.parse().ok()?;
    let (_, place) = LAYER_PARTS.iter().find(|(gguf, _)| *gguf == part)?;
    Some(format!("model.layers.{number}.{place}.{kind}"))
}

/// Whether llama.cpp's converter interleaves the rows of this tensor where the architecture is `llama`.
pub fn is_rotated(name: &str) -> bool {
    [".self_attn.q_proj.", ".self_attn.k_proj."].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_strangers() {
        let mapped = hugging_face_name("blk.11.attn_k.bias").unwrap();
        assert_eq!(mapped, "model.layers.11.self_attn.k_proj.bias");
        assert!(is_rotated(&mapped) && !is_rotated("model.layers.0.self_attn.q_norm.weight"));
        for stranger in
            ["blk.0.ffn_gate_exps.weight", "blk.x.attn_q.weight", "blk.0.attn_q.scale", "rope_freqs.weight", "blk.0"]
        {
            assert_eq!(hugging_face_name(stranger), None, "{stranger}");
        }
    }
}
