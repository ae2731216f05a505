"""The similarity benchmark's peer: `similarity.py TEXTS` finds near duplicates by datasketch and similar texts by rouge_score.

TEXTS is `{"rows", "pool", "candidates"}`. Rows are sets of runs of five words as text-dedup makes them; MinHashLSH proposes pairs
at 0.7 and checks none. Candidates are compared with the whole pool on all cores, tokenised beforehand, as Alpaca's code does.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from functools import partial

from datasketch import MinHash, MinHashLSH
from rouge_score import rouge_scorer


def near_duplicates(rows: list[str]) -> list[tuple[int, int]]:
    index = MinHashLSH(threshold=0.7, num_perm=128)
    pairs = []
    for number, row in enumerate(rows):
        words = row.lower().split()
        shingles = {" ".join(words[at : at + 5]).encode() for at in range(max(1, len(words) - 4))}
        signature = MinHash(num_perm=128)
        signature.update_batch(list(shingles))
        pairs.extend((other, number) for other in index.query(signature))
        index.insert(number, signature)
    return pairs


def main() -> None:
    with open(sys.argv[1], encoding="utf8") as file:
        texts = json.load(file)
    start = time.perf_counter()
    pairs = near_duplicates(texts["rows"])
    near_seconds = time.perf_counter() - start

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    tokens = [scorer._tokenizer.tokenize(text) for text in texts["pool"]]
    scores = []
    with multiprocessing.Pool(os.cpu_count()) as workers:
        workers.map(len, tokens[:100])
        start = time.perf_counter()
        for candidate in texts["candidates"]:
            own = scorer._tokenizer.tokenize(candidate)
            found = workers.map(partial(rouge_scorer._score_lcs, own), tokens, chunksize=500)
            scores.append(max(score.fmeasure for score in found))
        rouge_seconds = time.perf_counter() - start
    print(json.dumps({"near_seconds": near_seconds, "pairs": pairs, "rouge_seconds": rouge_seconds, "scores": scores}))


if __name__ == "__main__":
    main()
