"""The loading benchmark's peer: `load_rate.py FILE` loads the file once for every line on standard input, by the Python packages safetensors and gguf.

Loading is opening the file and having every tensor as float32 in memory, on one thread.
"""

import json
import sys
import time

import numpy
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors import safe_open

torch.set_num_threads(1)


def from_safetensors(path):
    with safe_open(path, framework="pt") as file:
        for name in file.keys():
            # A tensor is a view of the mapped file until it is copied.
            yield file.get_tensor(name).to(torch.float32, copy=True).numpy()


def from_gguf(path):
    for tensor in GGUFReader(path).tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        yield values.copy() if values.base is not None else values


def load(path, summed):
    elements, total = 0, 0.0
    for values in (from_gguf if path.endswith(".gguf") else from_safetensors)(path):
        elements += values.size
        if summed:
            total += float(numpy.abs(values).sum(dtype=numpy.float64))
    return elements, total


for turn, _ in enumerate(sys.stdin):
    begun = time.perf_counter()
    elements, total = load(sys.argv[1], turn == 0)
    print(json.dumps({"seconds": time.perf_counter() - begun, "elements": elements, "sum": total}), flush=True)
