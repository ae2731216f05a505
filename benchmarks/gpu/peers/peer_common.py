"""What the peers share: JSON lines, the clock, statistics, and what is installed here."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

SAMPLE_SECONDS = 2e-3
MOST_RUNS = 200


def emit(**values: Any) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def optional(name: str) -> ModuleType | None:
    """A library, or None where it is not installed or does not start on this machine."""
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a library that breaks at import is as absent as one that is missing
        return None


class LeftOut(Exception):
    """A peer that there was no time for."""

    def __str__(self) -> str:
        return "left out: no time to compile"


def why(error: BaseException) -> str:
    """An error in one line; memory and absence are told apart because a reader asks for them."""
    if isinstance(error, LeftOut):
        return str(error)
    kind = "out of memory" if isinstance(error, torch.OutOfMemoryError) else type(error).__name__
    return f"{kind}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))]


def summary(samples: list[float]) -> dict[str, float]:
    """Milliseconds of samples given in milliseconds."""
    return {
        "fastest_ms": min(samples),
        "p20_ms": quantile(samples, 0.2),
        "median_ms": statistics.median(samples),
        "p80_ms": quantile(samples, 0.8),
        "samples": len(samples),
    }


class Clock:
    """Times work on a device: by events on a GPU, by the wall on a CPU."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.gpu = self.device.type == "cuda"

    def synchronize(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()

    def once(self, run: Callable[[], Any], runs: int = 1) -> float:
        """Milliseconds of one run, as the mean of several that are queued together."""
        self.synchronize()
        if not self.gpu:
            before = time.perf_counter()
            for _ in range(runs):
                run()
            return (time.perf_counter() - before) * 1e3 / runs
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(runs):
            run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / runs

    def runs_per_sample(self, run: Callable[[], Any]) -> int:
        """Warms up, then as many runs as make a sample that the clock's own cost does not show in."""
        for _ in range(3):
            run()
        once = self.once(run) / 1e3
        return min(MOST_RUNS, int(SAMPLE_SECONDS / max(once, 1e-9)) + 1)


def versions() -> dict[str, str | None]:
    """Versions of what a peer may be made of; None for what is not here."""
    names = ["torch", "triton", "transformers", "peft", "bitsandbytes", "liger_kernel", "flash_attn", "unsloth"]
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name.replace("_", "-"))
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def device_facts() -> dict[str, Any]:
    """The card as PyTorch sees it."""
    if not torch.cuda.is_available():
        return {"device": "cpu", "cuda": None}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "cuda": torch.version.cuda,
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "capability": f"{properties.major}.{properties.minor}",
    }
