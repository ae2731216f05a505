"""Kernel benchmarks and their peers: `kernel_timing.py --ours PROGRAM --model NAME --tokens N STEM …`.

PROGRAM is tunesmith-kernels. It makes a case ready, this script makes the peers of the same case ready, and then they are
sampled in turn, so that what the card does meanwhile (clocks, heat) happens to all. One JSON line a side and case. A peer
that is missing, refuses or runs out of memory is a line too. Each stem gets a process of its own: one that breaks leaves the
others alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from peer_common import Clock, emit, optional, summary, why
from kernel_peers import peers


class Ours:
    """Our side: announces a case, gives a sample for each line `sample`."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def case(self) -> dict[str, Any] | None:
        """The next case, or None at the end."""
        for line in self.process.stdout or []:
            event = json.loads(line)
            if event.get("event") == "case":
                return event
        return None

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def sample(self) -> float:
        self.say("sample")
        assert self.process.stdout is not None
        return float(json.loads(self.process.stdout.readline())["ms"])

    def end(self) -> int:
        if self.process.stdin is not None:
            self.process.stdin.close()
        return self.process.wait()


class Peers:
    """The peers of a case that run here; the others have already been reported."""

    def __init__(self, clock: Clock, report: Any) -> None:
        self.clock, self.report = clock, report
        self.runs: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.samples: dict[str, list[float]] = {}

    def prepare(self, case: str, options: argparse.Namespace, model: dict[str, int], late: bool) -> None:
        torch.compiler.reset()
        try:
            runs = peers(case, model, options.tokens, options.device, not (late or options.no_compile))
        except Exception as error:  # noqa: BLE001 - a failure is a row
            self.report("peers", error=why(error))
            return
        if options.device == "cuda" and optional("liger_kernel") is None and "liger" not in runs:
            if case.startswith(("rms_norm", "rope", "swiglu", "cross_entropy", "linear_cross_entropy")):
                self.report("liger", error="not installed")
        for name, run in runs.items():
            try:
                self.counts[name] = self.clock.runs_per_sample(run)
                self.runs[name], self.samples[name] = run, []
            except Exception as error:  # noqa: BLE001
                self.report(name, error=why(error))

    def sample(self) -> None:
        for name, run in list(self.runs.items()):
            try:
                self.samples[name].append(self.clock.once(run, self.counts[name]))
            except Exception as error:  # noqa: BLE001
                self.report(name, error=why(error))
                del self.runs[name]


def stem(name: str, options: argparse.Namespace, model: dict[str, int], deadline: float) -> bool:
    """All cases of one stem. True when our side ended well."""
    clock = Clock(options.device)
    command = [*shlex.split(options.ours), name, "--model", options.model, "--tokens", str(options.tokens), "--interleaved"]
    ours = Ours(command)
    case: dict[str, Any] | None = None
    try:
        while (case := ours.case()) is not None:
            work = {key: case[key] for key in ("bytes", "flops") if key in case}

            def report(side: str, **values: Any) -> None:
                emit(part="kernel", stem=name, case=case["case"], model=options.model, tokens=options.tokens, toy=options.toy,
                     side=side, **work, **values)

            others = Peers(clock, report)
            others.prepare(case["case"], options, model, time.monotonic() > deadline)
            samples = []
            for _ in range(options.rounds):
                samples.append(ours.sample())
                others.sample()
            ours.say("next")
            report("tunesmith", **summary(samples))
            for peer in others.runs:
                report(peer, **summary(others.samples[peer]))
            del others, report
            gc.collect()
            if clock.gpu:
                torch.cuda.empty_cache()
    except (BrokenPipeError, ValueError, KeyError) as error:
        emit(part="kernel", stem=name, case=(case or {}).get("case", name), model=options.model, tokens=options.tokens,
             toy=options.toy, side="tunesmith", error=why(error))
    code = ours.end()
    if code != 0:
        emit(part="kernel", stem=name, case=name, model=options.model, tokens=options.tokens, toy=options.toy,
             side="tunesmith", error=f"ended with exit status {code}")
    return code == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stems", nargs="+", metavar="STEM")
    parser.add_argument("--ours", required=True, help="the program tunesmith-kernels with its options")
    parser.add_argument("--shapes", type=Path, required=True, help="shapes.json")
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=120, help="after this long nothing more is compiled")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--toy", action="store_true", help="mark the lines as a rehearsal")
    options = parser.parse_args()
    model = json.loads(options.shapes.read_text(encoding="utf-8"))[options.model]
    deadline = time.monotonic() + options.seconds
    results = [stem(name, options, model, deadline) for name in options.stems]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
