"""The optimizer benchmark's peer: `optimizers.py SHAPES.json MODEL adapter|whole OPTIMIZER FORM`.

It makes the tensors, takes a step or two that are not counted, prints a line `{"event": "case"}`, and then takes one step for each
line `sample` on standard input and prints its milliseconds. All cores are used.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

RANK, RATE = 16, 1e-4


def shapes(sizes: dict[str, int], whole: bool) -> list[tuple[int, ...]]:
    hidden, ffn = sizes["hidden"], sizes["intermediate"]
    query, key = sizes["heads"] * sizes["head_dim"], sizes["kv_heads"] * sizes["head_dim"]
    linears = [(query, hidden), (key, hidden), (key, hidden), (hidden, query), (ffn, hidden), (ffn, hidden), (hidden, ffn)]
    if whole:
        layer: list[tuple[int, ...]] = [*linears, (hidden,), (hidden,)]
        return [(sizes["vocabulary"], hidden), (hidden,), *layer * sizes["layers"]]
    return [shape for out, into in linears for shape in ((RANK, into), (out, RANK))] * sizes["layers"]


def tensors(all_shapes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    made = [torch.rand(shape) * 2 - 1 for shape in all_shapes]
    for tensor in made:
        tensor.requires_grad_()
        tensor.grad = torch.rand_like(tensor) * 2 - 1
    return made


def lion_by_foreach(parameters: list[torch.Tensor]) -> Callable[[], Any]:
    """Lion in torch's own many-tensor functions, which torch.optim has not."""
    values, gradients = [p.data for p in parameters], [p.grad for p in parameters]
    averages = [torch.zeros_like(p) for p in values]

    def step() -> None:
        along = torch._foreach_lerp(averages, gradients, 0.1)
        torch._foreach_sign_(along)
        torch._foreach_add_(values, along, alpha=-RATE)
        torch._foreach_lerp_(averages, gradients, 0.01)

    return step


def optimizer(name: str, form: str, parameters: list[torch.Tensor]) -> Callable[[], Any]:
    if form == "bitsandbytes":
        import bitsandbytes as bnb

        kinds = {"lion": (bnb.optim.Lion32bit, {}), "lion_8bit": (bnb.optim.Lion8bit, {}),
                 "adamw_8bit": (bnb.optim.AdamW8bit, {"weight_decay": 0.0})}
        kind, options = kinds[name]
        return kind(parameters, lr=RATE, **options).step
    if name == "lion":
        return lion_by_foreach(parameters)
    way = {form.removeprefix("torch "): True}
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, **way).step
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=RATE, momentum=0.9, **way).step
    return torch.optim.Adafactor(parameters, lr=RATE, **way).step


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    path, model, what, name, form = sys.argv[1:]
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(1)
    sizes = json.loads(Path(path).read_text(encoding="utf-8"))[model]
    with torch.no_grad():
        step = optimizer(name, form, tensors(shapes(sizes, what == "whole")))
        before = time.perf_counter()
        step()
        # The second one is for caches and clocks, which a step of seconds does not notice.
        if time.perf_counter() - before < 1:
            step()
        tell(event="case", case=f"{name} {form}")
        for line in sys.stdin:
            if line.strip() != "sample":
                return
            before = time.perf_counter()
            step()
            tell(event="sample", ms=1e3 * (time.perf_counter() - before))


if __name__ == "__main__":
    main()
