"""Proves the peer right: `verify.py HF_FOLDER`, the folder that gguf_to_hf.py made of SmolLM2, against the goldens.

Reads `goldens-smollm2/` under TUNESMITH_FIXTURES: tokenisation exactly, row losses and the 12-step LoRA run (loss, norm and
the adapter at the end) within the recorded tolerances.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from torch_sft import Peer, Spec

LOSS_TOLERANCE = 2e-5


def relative(value: float, reference: float) -> float:
    return abs(value - reference) / abs(reference)


def check_tokenizer(folder: Path, golden: dict) -> float:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return float(sum(tokenizer.encode(case["text"]).ids != case["ids"] for case in golden["tokenization"]))


def check_rows(peer: Peer, golden: dict) -> float:
    """Largest relative error of the losses of all tokens and of the response alone, without an adapter."""
    worst = 0.0
    with torch.no_grad(), peer.model.disable_adapter():
        for row in golden["rows"]:
            ids = torch.tensor([row["input_ids"]])
            nll = cross_entropy(peer.model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
            response = nll[row["prompt_tokens"] - 1 :]
            worst = max(worst, relative(nll.mean().item(), row["loss_all"]))
            worst = max(worst, relative(response.mean().item(), row["loss_response_only"]))
    return worst


def check_run(peer: Peer, run: dict) -> tuple[float, float]:
    results = [(peer.step(entry["learning_rate"]), entry) for entry in run["history"]]
    return (max(relative(result.loss, entry["loss"]) for result, entry in results),
            max(relative(result.grad_norm, entry["grad_norm"]) for result, entry in results))


def check_adapter(peer: Peer, reference: Path) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        peer.model.save_pretrained(scratch)
        trained = load_file(Path(scratch) / "adapter_model.safetensors")
    wanted = load_file(reference / "adapter_model.safetensors")
    return max(float((trained[name] - value).abs().max() / value.abs().max()) for name, value in wanted.items())


def report(name: str, error: float, allowed: float) -> None:
    """Prints the verdict and ends the program at the first failure."""
    print(f"{'pass' if error <= allowed else 'FAIL'}  {name}: {error:.2e}, allowed {allowed:.0e}", flush=True)
    if error > allowed:
        sys.exit(1)


def main() -> None:
    folder, fixtures = Path(sys.argv[1]), Path(os.environ["TUNESMITH_FIXTURES"]) / "goldens-smollm2"
    golden = json.loads((fixtures / "smollm2-135m.json").read_text(encoding="utf-8"))
    run = json.loads((fixtures / "run" / "run.json").read_text(encoding="utf-8"))
    peer = Peer(Spec(
        model=str(folder), adapter=str(fixtures / "run" / "adapter_start"), rows=run["rows"], batch_size=run["batch"],
        learning_rates=[entry["learning_rate"] for entry in run["history"]], max_grad_norm=run["max_grad_norm"],
    ))
    tolerance = run["tolerance"]
    report("tokenisation, rows that differ", check_tokenizer(folder, golden), 0.0)
    report("row losses", check_rows(peer, golden), LOSS_TOLERANCE)
    loss, norm = check_run(peer, run)
    report("12 steps, loss", loss, tolerance["steps_loss_rel"])
    report("12 steps, grad_norm", norm, tolerance["steps_grad_norm_rel"])
    report("adapter at the end", check_adapter(peer, fixtures / "run" / "adapter_end"), tolerance["adapter_end"])


if __name__ == "__main__":
    main()
