"""The peer: LoRA (or full) fine-tuning of given token rows by PyTorch + transformers + PEFT on the CPU.

`torch_sft.py SPEC.json` runs all steps; with `--stdin` it runs one optimizer step per line `step`, so that a benchmark can
alternate it with another program. It writes JSON lines: {event: "start", load_seconds, …}, one {step, loss, grad_norm,
learning_rate, seconds, useful_tokens, supervised_tokens} per step and {event: "end", peak_rss_bytes}.

Rows are taken in order, batch after batch, from the start again at the end. A micro-batch is padded on the right to its
longest row; the loss is the mean over the supervised tokens of the whole step, as in transformers' Trainer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

IGNORED = -100


class Row(TypedDict):
    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Spec:
    """The JSON file. Defaults are those of the Trainer, except the attention, which is the faster one here."""

    model: str
    rows: list[Row]
    learning_rates: list[float]  # one per step: their count is the number of steps
    batch_size: int
    adapter: str | None = None  # PEFT folder with configuration and starting weights; null trains every weight
    gradient_accumulation_steps: int = 1
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    dtype: str = "float32"  # or bfloat16: weights in bfloat16 under autocast, adapter in float32
    attention: str = "sdpa"  # or eager
    threads: int = 0  # 0 takes torch's own choice, one per core
    gradient_checkpointing: bool = False
    load_in_4bit: bool = False  # linear layers as NF4 with double quantisation, computing in dtype
    save_adapter: str | None = None  # folder for the trained adapter


@dataclass(frozen=True)
class StepResult:
    loss: float
    grad_norm: float
    useful_tokens: int  # not padding, prompts included
    supervised_tokens: int


def emit(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def read_spec(path: Path) -> Spec:
    return Spec(**json.loads(path.read_text(encoding="utf-8")))


def load_model(spec: Spec) -> PreTrainedModel | PeftModel:
    dtype = getattr(torch, spec.dtype)
    quantized = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    model: Any = AutoModelForCausalLM.from_pretrained(
        spec.model, dtype=dtype, attn_implementation=spec.attention,
        quantization_config=quantized if spec.load_in_4bit else None, device_map="cpu" if spec.load_in_4bit else None,
    )
    model.config.use_cache = False
    if spec.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if spec.adapter is not None:
        model = PeftModel.from_pretrained(model, spec.adapter, is_trainable=True)
    return model.train()


def collate(rows: list[Row], pad_id: int) -> dict[str, torch.Tensor]:
    width = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), width), pad_id)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[index, :length] = torch.tensor(row["input_ids"])
        labels[index, :length] = torch.tensor(row["labels"])
        mask[index, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


class Peer:
    """Model, optimizer and the endless stream of micro-batches."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.model = load_model(spec)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, betas=(spec.adam_beta1, spec.adam_beta2), eps=spec.adam_epsilon,
            weight_decay=spec.weight_decay, fused=True,
        )
        pad_id = self.model.config.pad_token_id
        self.pad_id = 0 if pad_id is None else pad_id
        self.rows: Iterator[Row] = itertools.cycle(spec.rows)

    def precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.spec.dtype == "bfloat16" else nullcontext()

    def step(self, learning_rate: float) -> StepResult:
        size = self.spec.batch_size
        groups = [list(itertools.islice(self.rows, size)) for _ in range(self.spec.gradient_accumulation_steps)]
        batches = [collate(group, self.pad_id) for group in groups]
        supervised = sum(int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in batches)
        useful = sum(int(batch["attention_mask"].sum()) for batch in batches)
        loss_sum = 0.0
        for batch in batches:
            with self.precision():
                loss = self.model(**batch, num_items_in_batch=supervised).loss
            loss.backward()
            loss_sum += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.spec.max_grad_norm).item()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepResult(loss_sum, norm, useful, supervised)


def requests(from_stdin: bool) -> Iterator[None]:
    """One item per step to run: endless, or one per line `step` until end of input."""
    if not from_stdin:
        yield from itertools.repeat(None)
    for line in sys.stdin:
        if line.strip() != "step":
            raise SystemExit(f"[torch_sft] expected a line `step`, got {line.strip()!r}; close the input to end")
        yield None


def peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    started = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path, metavar="SPEC.json")
    parser.add_argument("--stdin", action="store_true", help="run one step per line `step` on standard input")
    options = parser.parse_args()
    spec = read_spec(options.spec)
    if spec.threads > 0:
        torch.set_num_threads(spec.threads)
    peer = Peer(spec)
    emit(event="start", load_seconds=time.perf_counter() - started, threads=torch.get_num_threads(),
         torch=torch.__version__, dtype=spec.dtype, attention=spec.attention,
         trained_parameters=sum(p.numel() for p in peer.parameters))
    asked = requests(options.stdin)
    for number, (learning_rate, _) in enumerate(zip(spec.learning_rates, asked), start=1):
        before = time.perf_counter()
        result = peer.step(learning_rate)
        emit(step=number, learning_rate=learning_rate, seconds=time.perf_counter() - before, **vars(result))
    if spec.save_adapter is not None:
        peer.model.save_pretrained(spec.save_adapter)
    emit(event="end", peak_rss_bytes=peak_rss_bytes())


if __name__ == "__main__":
    main()
