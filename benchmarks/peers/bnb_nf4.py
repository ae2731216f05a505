"""The peer: NF4 of bitsandbytes on the CPU, one thread: `bnb_nf4.py SHAPES.json MODEL` prints a JSON line per case, in GB/s.

Quantising counts the float32 bytes read, dequantising the bytes read and written. Every layer has columns divisible by 64.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

PATIENCE = 0.3
RUNS = 5


def fastest(run: Callable[[], object]) -> float:
    started, times = time.perf_counter(), []
    while len(times) < RUNS or time.perf_counter() - started < PATIENCE:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return min(times)


def report(case: str, amount: int, seconds: float) -> None:
    print(json.dumps({"case": case, "fastest_ms": seconds * 1e3, "rate": amount / seconds / 1e9}), flush=True)


def main() -> None:
    shapes, model = Path(sys.argv[1]), sys.argv[2]
    sizes = json.loads(shapes.read_text(encoding="utf-8"))[model]
    torch.set_num_threads(1)
    torch.manual_seed(1)
    hidden, ffn, head = sizes["hidden"], sizes["intermediate"], sizes["head_dim"]
    layers = {"q_proj": (sizes["heads"] * head, hidden), "k_proj": (sizes["kv_heads"] * head, hidden),
              "gate_proj": (ffn, hidden), "down_proj": (hidden, ffn)}
    for name, (rows, columns) in layers.items():
        weight = torch.rand(rows, columns) * 0.2 - 0.1
        count = weight.numel()
        packed, state = quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
        stored = count // 2 + count // 64 + 4 * (count // 64 // 256 + 257)
        report(f"quantize {name}", 4 * count, fastest(
            lambda: quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")))
        report(f"dequantize {name}", 4 * count + stored, fastest(lambda: dequantize_4bit(packed, state)))


if __name__ == "__main__":
    main()
