"""llama.cpp's own quantiser: `quantize_gguf.py LIBRARIES IN OUT FILE_TYPE [IMPORTANCE.json]`, where LIBRARIES is the folder of
libllama's shared libraries (npm's @node-llama-cpp/linux-x64 has them) and FILE_TYPE a number of llama.h's llama_ftype.
Standard library only."""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

NAMES = ("nthread", "ftype", "output_tensor_type", "token_embedding_type")
FLAGS = ("allow_requantize", "quantize_output_tensor", "only_copy", "pure", "keep_split", "dry_run")
POINTERS = ("imatrix", "kv_overrides", "tt_overrides", "prune_layers")


class Parameters(ctypes.Structure):
    """llama_model_quantize_params."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in NAMES),
        *((name, ctypes.c_bool) for name in FLAGS),
        *((name, ctypes.c_void_p) for name in POINTERS),
    ]


class Importance(ctypes.Structure):
    """llama_model_imatrix_data."""

    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


def load(folder: Path) -> ctypes.CDLL:
    for stem in ("libggml-base", "libggml.", "libllama."):
        (path,) = sorted(folder.glob(f"{stem}*so"))[:1]
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    return library


def main() -> int:
    folder, source, target, file_type, *importance = sys.argv[1:]
    llama = load(Path(folder))
    lines: list[str] = []
    log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
        lambda _level, text, _data: lines.append(text.decode(errors="replace"))
    )
    llama.llama_log_set(log, None)
    llama.llama_backend_init()
    llama.llama_model_quantize_default_params.restype = Parameters
    parameters = llama.llama_model_quantize_default_params()
    # The layout is this release's: a default that is another number says that it has changed.
    if (parameters.ftype, parameters.quantize_output_tensor, parameters.pure, parameters.imatrix) != (7, True, False, None):
        sys.exit("expected the parameters of the release that is locked, got others")
    parameters.ftype, parameters.nthread = int(file_type), 2
    columns = json.loads(Path(importance[0]).read_text()) if importance else {}
    kept = [(name.encode(), (ctypes.c_float * len(row))(*row), len(row)) for name, row in columns.items()]
    table = (Importance * (len(kept) + 1))(*(Importance(*entry) for entry in kept))
    if importance:
        parameters.imatrix = ctypes.addressof(table)
    failed = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    if failed:
        sys.stderr.write("".join(lines[-8:]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
