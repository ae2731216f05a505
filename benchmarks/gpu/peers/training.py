"""The peer of whole training steps: transformers + PEFT on the model that SPEC.json describes, its weights made by counting.

`training.py [--device cuda|cpu] [--liger] SPEC.json` answers one JSON line for each JSON line on standard input: `begin` (a
workload), `step`, `release`, `peak`. Four-bit layers are bitsandbytes' where it is installed and works, otherwise PyTorch
operations that compute the same (the first line says which). Precision is as TRL trains: bfloat16 weights and autocast,
adapter and optimizer in float32; on a CPU in float32 throughout where the specification says so.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

import torch  # noqa: E402

from peer_common import Clock, emit, versions, why  # noqa: E402

IGNORED = -100


def collate(rows: list[dict[str, list[int]]], device: torch.device) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest; no mask where there is no padding, which leaves the fast attention free."""
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[index, :length] = torch.tensor(row["input_ids"])
        labels[index, :length] = torch.tensor(row["labels"])
        mask[index, :length] = 1
    batch = {"input_ids": ids.to(device), "labels": labels.to(device)}
    return batch if bool(mask.all()) else {**batch, "attention_mask": mask.to(device)}


class Peer:
    """Model, adapter and optimizer, driven by requests."""

    def __init__(self, spec: dict[str, Any], options: argparse.Namespace) -> None:
        from peer_model import build

        self.spec, self.clock = spec, Clock(options.device)
        self.half = spec["dtype"] == "bfloat16"
        self.model, self.facts = build(spec, self.clock.device, options.liger)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=spec["learning_rate"], weight_decay=0.0, fused=True)
        self.workload: dict[str, Any] = {}

    def begin(self, request: dict[str, Any]) -> dict[str, Any]:
        self.workload = self.spec["workloads"][request["workload"]]
        if self.workload["gradient_checkpointing"]:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.model.enable_input_require_grads()
        else:
            self.model.gradient_checkpointing_disable()
        return self.release(request)

    def release(self, _: dict[str, Any]) -> dict[str, Any]:
        gc.collect()
        if self.clock.gpu:
            torch.cuda.empty_cache()
        return {}

    def peak(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.clock.gpu:
            return {"peak_bytes": torch.cuda.max_memory_allocated()}
        import resource

        return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    def step(self, request: dict[str, Any]) -> dict[str, Any]:
        steps = self.workload["steps"]
        self.clock.synchronize()
        before = time.perf_counter()
        batches = [collate(rows, self.clock.device) for rows in steps[request["index"] % len(steps)]]
        supervised = sum(int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in batches)
        losses = []
        for batch in batches:
            precision = torch.autocast(self.clock.device.type, torch.bfloat16) if self.half else contextlib.nullcontext()
            with precision:
                loss = self.model(**batch, num_items_in_batch=supervised, use_cache=False).loss
            loss.backward()
            losses.append(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.spec["max_grad_norm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        loss, grad_norm = float(sum(losses)), float(norm)
        self.clock.synchronize()
        return {"loss": loss, "grad_norm": grad_norm, "seconds": time.perf_counter() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, metavar="SPEC.json")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--liger", action="store_true", help="with Liger's kernels")
    options = parser.parse_args()
    try:
        peer = Peer(json.loads(options.spec.read_text(encoding="utf-8")), options)
        peer.clock.synchronize()
        emit(event="ready", process_seconds=time.perf_counter() - STARTED, versions=versions(), **peer.facts)
    except Exception as error:  # noqa: BLE001 - the reader is told why there is no peer
        emit(event="error", error=why(error))
        sys.exit(1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            emit(event="done", **getattr(peer, request["do"])(request))
        except Exception as error:  # noqa: BLE001
            peer.optimizer.zero_grad(set_to_none=True)
            peer.release({})
            emit(event="error", error=why(error))


if __name__ == "__main__":
    main()
