"""The data benchmark's peer: `trl_data.py ROWS MODEL PROCESSES` prepares and packs rows by datasets and TRL's SFTTrainer.

Reads the file, applies the chat template, tokenises, masks the prompt, packs with `bfd`. `trl_data.py ROWS MODEL tokenizers`
encodes the same texts by the tokenizers library alone, on all cores; rendering them is not counted.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time

from datasets import load_dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase


def by_trl(rows: str, tokenizer: PreTrainedTokenizerBase, processes: int, work: str) -> dict[str, float]:
    from trl import SFTConfig, SFTTrainer

    # The smallest model that a trainer takes; none of its weights is used.
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))
    args = SFTConfig(
        output_dir=work, packing=True, packing_strategy="bfd", max_length=1024, dataset_num_proc=processes,
        report_to="none", use_cpu=True, bf16=False,
    )
    start = time.perf_counter()
    dataset = load_dataset("json", data_files=rows, split="train", cache_dir=work)
    trainer = SFTTrainer(model=model, args=args, train_dataset=dataset, processing_class=tokenizer)
    seconds = time.perf_counter() - start
    packed = trainer.train_dataset
    tokens = sum(len(ids) for ids in packed["input_ids"])
    return {"seconds": seconds, "rows": len(dataset), "tokens": tokens, "packed_rows": len(packed)}


def by_tokenizers(rows: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    with open(rows, encoding="utf8") as file:
        parsed = [json.loads(line) for line in file]
    texts = [tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in parsed]
    encoder = tokenizer.backend_tokenizer
    start = time.perf_counter()
    encoded = encoder.encode_batch_fast(texts, add_special_tokens=False)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "rows": len(texts), "tokens": sum(len(one) for one in encoded)}


def main() -> None:
    rows, model, what = sys.argv[1:4]
    tokenizer = AutoTokenizer.from_pretrained(model)
    with tempfile.TemporaryDirectory() as work:
        if what == "tokenizers":
            result = by_tokenizers(rows, tokenizer)
        else:
            result = by_trl(rows, tokenizer, int(what), work)
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({**result, "peak_rss_bytes": max(usage) * 1024}))


if __name__ == "__main__":
    main()
