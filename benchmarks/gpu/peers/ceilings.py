"""What this card can do at best: `ceilings.py [--device cuda|cpu] [--toy]`.

Copy bandwidth counts bytes read and written; the product is bf16 with f32 accumulation at 8192³, on normal random data
(zeros run faster and say nothing). Buffers are rotated so that no run finds the last one's data in the L2 cache.
"""

from __future__ import annotations

import argparse

import torch

from peer_common import Clock, device_facts, emit, summary, versions, why

ROUNDS = 15


def copy_bandwidth(clock: Clock, elements: int) -> dict[str, float]:
    buffers = [torch.randn(elements, device=clock.device, dtype=torch.float32) for _ in range(4)]
    turn = 0

    def run() -> None:
        nonlocal turn
        buffers[turn % 4].copy_(buffers[(turn + 1) % 4])
        turn += 2

    runs = clock.runs_per_sample(run)
    timing = summary([clock.once(run, runs) for _ in range(ROUNDS)])
    return {**timing, "bytes_per_second": 2 * 4 * elements / (timing["median_ms"] * 1e-3)}


def product_rate(clock: Clock, size: int) -> dict[str, float]:
    pairs = [
        (torch.randn(size, size, device=clock.device, dtype=torch.bfloat16),
         torch.randn(size, size, device=clock.device, dtype=torch.bfloat16))
        for _ in range(3)
    ]
    out = torch.empty(size, size, device=clock.device, dtype=torch.bfloat16)
    turn = 0

    def run() -> None:
        nonlocal turn
        a, b = pairs[turn % 3]
        torch.mm(a, b, out=out)
        turn += 1

    runs = clock.runs_per_sample(run)
    timing = summary([clock.once(run, runs) for _ in range(ROUNDS)])
    return {**timing, "flops_per_second": 2 * size**3 / (timing["median_ms"] * 1e-3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--toy", action="store_true", help="sizes for a rehearsal: no figure of it means anything")
    options = parser.parse_args()
    clock = Clock(options.device)
    emit(part="peers", **device_facts(), versions=versions())
    for name, measure, size in [
        ("copy", copy_bandwidth, 1 << 16 if options.toy else 1 << 28),
        ("matmul_bf16", product_rate, 64 if options.toy else 8192),
    ]:
        try:
            emit(part="ceiling", ceiling=name, size=size, toy=options.toy, **measure(clock, size))
        except Exception as error:  # noqa: BLE001 - a failure is a row
            emit(part="ceiling", ceiling=name, size=size, toy=options.toy, error=why(error))


if __name__ == "__main__":
    main()
