"""What the PyPI package `gguf` reads in a file: `read_gguf.py FILE`, as JSON on standard output."""

from __future__ import annotations

import hashlib
import json
import sys

import gguf
import numpy as np

reader = gguf.GGUFReader(sys.argv[1])
keys = {}
for key, field in reader.fields.items():
    value = field.contents()
    keys[key] = value if not isinstance(value, list) or len(value) < 16 else len(value)
tensors = {}
for tensor in reader.tensors:
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    tensors[tensor.name] = {
        "type": tensor.tensor_type.name,
        "shape": [int(size) for size in reversed(tensor.shape)],
        "sha256": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest(),
    }
json.dump({"keys": keys, "tensors": tensors}, sys.stdout)
