"""A transformers model with weights made by counting, and a PEFT adapter on it, without a checkpoint on the disk."""

from __future__ import annotations

import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from peer_common import optional
from generator import nested_scales, normal, uniform_bytes

NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip


def dynamic_map() -> list[float]:
    """bitsandbytes' signed 8-bit code book, for machines without it: seven decades, the finest the widest apart from 0."""
    values = [0.0, 1.0]
    for decade in range(7):
        bounds = torch.linspace(0.1, 1, 2**decade + 1, dtype=torch.float32)
        middles = (bounds[:-1] + bounds[1:]) / 2.0
        values += ((10 ** (decade - 6)) * middles).tolist() + (-(10 ** (decade - 6)) * middles).tolist()
    return sorted(values)


class Dequantised(torch.autograd.Function):
    """A product with a frozen four-bit weight that is dequantised for it, forward and backward, and never kept."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: Nf4Linear) -> torch.Tensor:
        ctx.layer = layer
        return F.linear(x, layer.dequantised(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (dy,) = gradients
        return dy @ ctx.layer.dequantised(dy.dtype), None


class Nf4Linear(nn.Linear):
    """NF4 with double quantisation by PyTorch operations: what is trained with where bitsandbytes is absent."""

    def __init__(self, codes: torch.Tensor, state: dict[str, Any], dtype: torch.dtype) -> None:
        n, k = state["shape"]
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = k, n, None
        # PEFT asks a layer's weight for its device and dtype; the codes are what there is.
        self.weight = nn.Parameter(torch.empty(0, device=codes.device, dtype=dtype), requires_grad=False)
        self.codes, self.state = codes, state

    def dequantised(self, dtype: torch.dtype) -> torch.Tensor:
        state = self.state
        scales = state["code_book"][state["absmax"].long()] * state["nested"].repeat_interleave(256)[: len(state["absmax"])]
        scales = scales + state["offset"]
        codes = torch.stack((self.codes >> 4, self.codes & 15), dim=-1).view(-1, state["block"])
        values = state["values"][codes.int()] * scales[:, None]
        return values.to(dtype).view(state["shape"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        return Dequantised.apply(x.to(dtype), self)


def nf4_layer(name: str, linear: nn.Linear, spec: dict[str, Any], device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A four-bit layer with generated codes and scales, by bitsandbytes where it is installed."""
    n, k, seed, block = linear.out_features, linear.in_features, spec["seed"], spec["nf4_block"]
    blocks = -(-n * k // block)
    codes = uniform_bytes(f"{name}.weight", seed, -(-n * k // 2), device)
    absmax = uniform_bytes(f"{name}.weight.absmax", seed, blocks, device)
    nested = nested_scales(f"{name}.weight.nested_absmax", seed, -(-blocks // 256), spec["nf4_scale"], device)
    values = torch.tensor(NF4, device=device)
    code_book = torch.tensor(dynamic_map(), device=device)
    offset = torch.tensor(spec["nf4_scale"], device=device)
    if (library := optional("bitsandbytes")) is None:
        state = {"shape": (n, k), "block": block, "absmax": absmax, "nested": nested, "values": values,
                 "code_book": code_book, "offset": offset}
        return Nf4Linear(codes, state, dtype)
    functional = library.functional
    second = functional.QuantState(absmax=nested, blocksize=256, code=code_book, dtype=torch.float32)
    state = functional.QuantState(absmax=absmax, shape=torch.Size((n, k)), code=values, blocksize=block, quant_type="nf4",
                                  dtype=dtype, offset=offset, state2=second)
    layer = library.nn.Linear4bit(k, n, bias=False, compute_dtype=dtype, quant_type="nf4", device="meta")
    layer.weight = library.nn.Params4bit(codes.view(-1, 1), requires_grad=False, quant_state=state, blocksize=block,
                                         compress_statistics=True, quant_type="nf4", module=layer, bnb_quantized=True)
    layer.quant_state = state
    return layer


def fill(model: nn.Module, spec: dict[str, Any], device: torch.device, dtype: torch.dtype) -> None:
    """Every parameter by its name, as benchmarks/steps/weights.rs makes it."""
    seed = spec["seed"]
    for name, module in list(model.named_modules()):
        if spec["nf4"] and isinstance(module, nn.Linear) and name != "lm_head":
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, nf4_layer(name, module, spec, device, dtype))
            continue
        for key, parameter in list(module.named_parameters(recurse=False)):
            norm = "norm" in name
            mean, deviation = (1.0, spec["norm_deviation"]) if norm else (0.0, spec["deviation"])
            values = normal(f"{name}.{key}", seed, tuple(parameter.shape), mean, deviation, device, dtype)
            setattr(module, key, nn.Parameter(values, requires_grad=False))
    model.tie_weights()


def build(spec: dict[str, Any], device: torch.device, liger: bool) -> tuple[Any, dict[str, Any]]:
    """The model with the adapter of the specification, and what it is made of."""
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = getattr(torch, spec["dtype"])
    if liger:
        from liger_kernel.transformers import apply_liger_kernel_to_llama, apply_liger_kernel_to_qwen2

        {"llama": apply_liger_kernel_to_llama, "qwen2": apply_liger_kernel_to_qwen2}[spec["config"]["model_type"]]()
    config = AutoConfig.for_model(**spec["config"])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=dtype)
    begun = time.perf_counter()
    fill(model, spec, device, dtype)
    # Frequencies are computed, not stored, and so were left without values.
    with device:
        model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    if device.type == "cuda":
        torch.cuda.synchronize()
    generated = time.perf_counter() - begun
    four_bits = "none"
    if spec["nf4"]:
        own = any(isinstance(module, Nf4Linear) for module in model.modules())
        four_bits = "PyTorch operations" if own else "bitsandbytes"
        model.is_loaded_in_4bit = not own
    adapted = PeftModel.from_pretrained(model, spec["adapter"], is_trainable=True)
    adapted.config.use_cache = False
    return adapted.train(), {"four_bits": four_bits, "generate_seconds": generated, "liger": liger}
