"""The peers of every kernel benchmark: the same work at the same sizes in PyTorch and, where installed, in Liger,
bitsandbytes and flash-attention.

`peers(case, model, tokens, device)` gives named functions, each one run of the op. A backward pass is timed through autograd
over a graph that is kept. Half precision is bfloat16 on a GPU; on a CPU everything is float32, as our side computes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from peer_common import LeftOut, optional

RANK = 16
IGNORED = -100
Runs = dict[str, Callable[[], Any]]


class Sizes:
    """A model's sizes, tokens, and where and in which type numbers are made."""

    def __init__(self, model: dict[str, int], tokens: int, device: str, compiling: bool = True) -> None:
        self.compiling = compiling
        self.hidden, self.intermediate = model["hidden"], model["intermediate"]
        self.heads, self.kv_heads, self.head_dim = model["heads"], model["kv_heads"], model["head_dim"]
        self.layers, self.vocabulary = model["layers"], model["vocabulary"]
        self.tokens, self.device = tokens, device
        self.dtype = torch.bfloat16 if device == "cuda" else torch.float32

    def random(self, *shape: int, grad: bool = False, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.randn(*shape, device=self.device, dtype=dtype or self.dtype, requires_grad=grad)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function through torch.compile, or one that says that there was no time for it."""
        if self.compiling:
            return torch.compile(function, dynamic=False)

        def left_out(*_: Any) -> Any:
            raise LeftOut

        return left_out

    def linear(self, name: str) -> tuple[int, int]:
        return {
            "q_proj": (self.heads * self.head_dim, self.hidden),
            "k_proj": (self.kv_heads * self.head_dim, self.hidden),
            "gate_proj": (self.intermediate, self.hidden),
            "down_proj": (self.hidden, self.intermediate),
            "lm_head": (self.vocabulary, self.hidden),
        }[name]


def backward(outputs: torch.Tensor, inputs: list[torch.Tensor], gradient: torch.Tensor) -> Callable[[], Any]:
    return lambda: torch.autograd.grad(outputs, inputs, gradient, retain_graph=True)


def in_two_passes(case: str, functions: dict[str, Callable[..., torch.Tensor]], inputs: list[torch.Tensor]) -> Runs:
    """Forward alone, or backward alone, of functions of the same inputs."""
    runs: Runs = {}
    for name, function in functions.items():
        if "_forward" in case:
            def forward(function: Callable[..., torch.Tensor] = function) -> None:
                with torch.no_grad():
                    function(*inputs)
            runs[name] = forward
        else:
            try:
                out = function(*inputs)
            except Exception as error:  # noqa: BLE001 - reported where it is run
                def failed(error: Exception = error) -> None:
                    raise error
                runs[name] = failed
                continue
            runs[name] = backward(out, [x for x in inputs if x.requires_grad], torch.randn_like(out))
    return runs


def rms_norm(case: str, sizes: Sizes) -> Runs:
    trained = "trained" in case
    x = sizes.random(sizes.tokens, sizes.hidden, grad=True)
    scale = sizes.random(sizes.hidden, grad=trained)

    def eager(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        return scale * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype)

    if "accumulating" in case:
        return {}
    if "_add_" in case:
        stream = sizes.random(sizes.tokens, sizes.hidden)

        def of_sum(x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            total = stream + x
            return total, eager(total, scale)

        def alone(x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            total = stream + x
            return total, F.rms_norm(total, (sizes.hidden,), scale, 1e-5)

        functions = {"torch eager": of_sum, "torch.compile": sizes.compiled(of_sum), "torch rms_norm": alone}
        return in_two_passes(case, functions, [x, scale])
    functions = {"torch eager": eager, "torch.compile": sizes.compiled(eager)}
    functions["torch rms_norm"] = lambda x, scale: F.rms_norm(x, (sizes.hidden,), scale, 1e-5)
    if sizes.device == "cuda" and (liger := optional("liger_kernel.ops.rms_norm")) is not None:
        functions["liger"] = lambda x, scale: liger.LigerRMSNormFunction.apply(x, scale, 1e-5, 0.0, "llama", True)
    return in_two_passes(case, functions, [x, scale])


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


def rope(_: str, sizes: Sizes) -> Runs:
    t, h = sizes.tokens, sizes.head_dim
    frequencies = 10000.0 ** (-torch.arange(0, h, 2, device=sizes.device) / h)
    angles = torch.outer(torch.arange(t, device=sizes.device).float(), frequencies).repeat(1, 2)
    cos, sin = angles.cos().to(sizes.dtype)[None, None], angles.sin().to(sizes.dtype)[None, None]
    q = sizes.random(1, sizes.heads, t, h)
    fast = sizes.compiled(rotate)
    runs: Runs = {"torch eager": lambda: rotate(q, cos, sin), "torch.compile": lambda: fast(q, cos, sin)}
    if sizes.device == "cuda" and (liger := optional("liger_kernel.ops.rope")) is not None:
        k = sizes.random(1, 1, t, h)
        runs["liger"] = lambda: liger.LigerRopeFunction.apply(q, k, cos[0], sin[0])
    return runs


def geglu() -> Callable[..., torch.Tensor]:
    from liger_kernel.ops.geglu import LigerGELUMulFunction

    return LigerGELUMulFunction.apply


def swiglu(case: str, sizes: Sizes) -> Runs:
    gate = sizes.random(sizes.tokens, sizes.intermediate, grad=True)
    up = sizes.random(sizes.tokens, sizes.intermediate, grad=True)
    silu = "Silu" in case

    def eager(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return (F.silu(gate) if silu else F.gelu(gate, approximate="tanh")) * up

    functions = {"torch eager": eager, "torch.compile": sizes.compiled(eager)}
    if sizes.device == "cuda" and (liger := optional("liger_kernel.ops.swiglu")) is not None:
        functions["liger"] = liger.LigerSiLUMulFunction.apply if silu else geglu()
    return in_two_passes(case, functions, [gate, up])


def labels_for(case: str, rows: int, sizes: Sizes) -> torch.Tensor:
    labels = torch.randint(sizes.vocabulary, (rows,), device=sizes.device)
    ignored = int(case.split("%")[0].split()[-1]) if "%" in case else 0
    labels[torch.arange(rows, device=sizes.device) % 10 * 10 < ignored] = IGNORED
    return labels


def loss_and_gradient(function: Callable[..., torch.Tensor], inputs: list[torch.Tensor]) -> Callable[[], None]:
    wanted = [x for x in inputs if x.requires_grad]

    def run() -> None:
        for x in wanted:
            x.grad = None
        function(*inputs).backward()

    return run


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")


def cross_entropy(case: str, sizes: Sizes) -> Runs:
    rows = max(sizes.tokens // 4, 1)
    logits = (4 * sizes.random(rows, sizes.vocabulary)).requires_grad_()
    labels = labels_for(case, rows, sizes)
    runs: Runs = {
        "torch eager": loss_and_gradient(summed_loss, [logits, labels]),
        "torch.compile": loss_and_gradient(sizes.compiled(summed_loss), [logits, labels]),
    }
    if sizes.device == "cuda" and (liger := optional("liger_kernel.transformers.cross_entropy")) is not None:
        module = liger.LigerCrossEntropyLoss(ignore_index=IGNORED, reduction="sum")
        # It writes the gradient over the logits, as ours does.
        runs["liger"] = lambda: module(logits.detach().requires_grad_(), labels).backward()
    return runs


def linear_cross_entropy(case: str, sizes: Sizes) -> Runs:
    hidden = sizes.random(sizes.tokens, sizes.hidden, grad=True)
    head = (0.02 * sizes.random(sizes.vocabulary, sizes.hidden)).requires_grad_("trained" in case)
    labels = labels_for(case, sizes.tokens, sizes)

    def eager(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return summed_loss(hidden @ head.t(), labels)

    runs: Runs = {
        "torch eager": loss_and_gradient(eager, [hidden, head, labels]),
        "torch.compile": loss_and_gradient(sizes.compiled(eager), [hidden, head, labels]),
    }
    if sizes.device == "cuda" and (liger := optional("liger_kernel.transformers.fused_linear_cross_entropy")) is not None:
        module = liger.LigerFusedLinearCrossEntropyLoss(ignore_index=IGNORED, reduction="sum")
        runs["liger"] = loss_and_gradient(lambda hidden, head, labels: module(head, hidden, labels), [hidden, head, labels])
    return runs


def attention(case: str, sizes: Sizes) -> Runs:
    length = min(sizes.tokens, int(case.split()[-1])) if "sequences of" in case else sizes.tokens
    count = max(sizes.tokens // length, 1)
    shape = (count, sizes.heads, length, sizes.head_dim)
    narrow = (count, sizes.kv_heads, length, sizes.head_dim)
    q, k, v = sizes.random(*shape, grad=True), sizes.random(*narrow, grad=True), sizes.random(*narrow, grad=True)

    def through(kernel: SDPBackend) -> Callable[..., torch.Tensor]:
        def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            with sdpa_kernel(kernel):
                return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=sizes.heads != sizes.kv_heads)
        return function

    if sizes.device != "cuda":
        return in_two_passes(case, {"torch sdpa": through(SDPBackend.MATH)}, [q, k, v])
    functions = {
        "torch sdpa (FlashAttention-2)": through(SDPBackend.FLASH_ATTENTION),
        "torch sdpa (cuDNN)": through(SDPBackend.CUDNN_ATTENTION),
    }
    runs = in_two_passes(case, functions, [q, k, v])
    if (flash := optional("flash_attn")) is not None:
        packed = [x.detach().transpose(1, 2).contiguous().requires_grad_() for x in (q, k, v)]
        library = {"flash-attention": lambda q, k, v: flash.flash_attn_func(q, k, v, causal=True)}
        runs.update(in_two_passes(case, library, packed))
    return runs


def lora(case: str, sizes: Sizes) -> Runs:
    n, k = sizes.linear(case.split()[-1])
    x = sizes.random(sizes.tokens, k, grad=True)
    w = sizes.random(n, k)
    a, b = sizes.random(RANK, k, grad=True), sizes.random(n, RANK, grad=True)

    def eager(x: torch.Tensor, w: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return F.linear(x, w) + F.linear(F.linear(x, a), b) * 1.0

    functions = {"torch eager (as PEFT)": eager, "torch.compile": sizes.compiled(eager)}
    runs = in_two_passes(case, functions, [x, w, a, b])
    runs["bare matmul"] = matmul(case.replace("lora_backward", "matmul_backward_input"), sizes)["torch mm"]
    return runs


def matmul(case: str, sizes: Sizes) -> Runs:
    name = case.split()[-1]
    n, k = sizes.linear(name)
    m = max(sizes.tokens // 4, 1) if name == "lm_head" else sizes.tokens
    x, w, dy = sizes.random(m, k), sizes.random(n, k), sizes.random(m, n)
    if "backward_input" in case:
        return {"torch mm": lambda: dy @ w}
    if "backward_weight" in case:
        return {"torch mm": lambda: dy.t() @ x}
    return {"torch mm": lambda: x @ w.t()}


def adapter_tensors(sizes: Sizes) -> list[torch.Tensor]:
    """An adapter on all linear layers with their gradients: q, k, v, o, gate, up and down."""
    names = ("q_proj", "k_proj", "k_proj", "q_proj", "gate_proj", "gate_proj", "down_proj")
    lengths = [length for n, k in map(sizes.linear, names) for length in (RANK * k, RANK * n)]
    tensors = [sizes.random(length, dtype=torch.float32) for length in lengths * sizes.layers]
    for tensor in tensors:
        tensor.requires_grad_()
        tensor.grad = torch.randn_like(tensor)
    return tensors


def adamw(_: str, sizes: Sizes) -> Runs:
    tensors = adapter_tensors(sizes)
    fused = torch.optim.AdamW(tensors, lr=1e-4, weight_decay=0.0, fused=True)
    foreach = torch.optim.AdamW(tensors, lr=1e-4, weight_decay=0.0, foreach=True)
    return {"torch fused": fused.step, "torch foreach": foreach.step}


def sgd(_: str, sizes: Sizes) -> Runs:
    tensors = adapter_tensors(sizes)
    fused = torch.optim.SGD(tensors, lr=1e-4, momentum=0.9, fused=True)
    foreach = torch.optim.SGD(tensors, lr=1e-4, momentum=0.9, foreach=True)
    return {"torch fused": fused.step, "torch foreach": foreach.step}


def grad_norm(_: str, sizes: Sizes) -> Runs:
    tensors = [sizes.random(16 * sizes.hidden, dtype=torch.float32) for _ in range(448)]
    return {"torch get_total_norm": lambda: torch.nn.utils.get_total_norm(tensors).item()}


def embedding(case: str, sizes: Sizes) -> Runs:
    table = sizes.random(sizes.vocabulary, sizes.hidden)
    ids = torch.randint(sizes.vocabulary, (sizes.tokens,), device=sizes.device)
    dy = sizes.random(sizes.tokens, sizes.hidden)
    if "forward" in case:
        return {"torch eager": lambda: F.embedding(ids, table)}
    return {"torch eager": lambda: torch.ops.aten.embedding_dense_backward(dy, ids, sizes.vocabulary, -1, False)}


def elementwise(case: str, sizes: Sizes) -> Runs:
    x, y = sizes.random(sizes.tokens, sizes.hidden), sizes.random(sizes.tokens, sizes.hidden)
    return {"torch eager": (lambda: y.add_(x, alpha=1e-3)) if case == "add" else (lambda: x.sum(0, dtype=torch.float32))}


def nf4(case: str, sizes: Sizes) -> Runs:
    library = optional("bitsandbytes.functional")
    if library is None:
        raise ModuleNotFoundError("bitsandbytes is not installed")
    n, k = sizes.linear(case.split()[-1])
    weight = sizes.random(n, k)
    codes, state = library.quantize_4bit(weight, quant_type="nf4", compress_statistics=True, blocksize=64)
    if "dequantize" in case:
        return {"bitsandbytes": lambda: library.dequantize_4bit(codes, state)}
    if "quantize" in case or case.startswith("copy"):
        return {}
    rows = 1 if "decode" in case else sizes.tokens
    x, dy = sizes.random(rows, k), sizes.random(rows, n)
    if "backward" in case:
        return {"bitsandbytes": lambda: dy @ library.dequantize_4bit(codes, state)}
    bitsandbytes = optional("bitsandbytes")
    return {"bitsandbytes": lambda: bitsandbytes.matmul_4bit(x, codes.t(), state)}


EXPERTS, CHOSEN = 128, 8


def router(case: str, sizes: Sizes) -> Runs:
    logits = sizes.random(sizes.tokens, EXPERTS, grad=True)

    def eager(logits: torch.Tensor) -> torch.Tensor:
        weights = F.softmax(logits, dim=-1, dtype=torch.float32).topk(CHOSEN, dim=-1).values
        return weights / weights.sum(dim=-1, keepdim=True)

    if "group" in case:
        experts = logits.topk(CHOSEN, dim=-1).indices.flatten()
        return {"torch sort": lambda: (experts.sort(stable=True), experts.bincount(minlength=EXPERTS).cumsum(0))}
    return in_two_passes(case, {"torch eager": eager, "torch.compile": sizes.compiled(eager)}, [logits])


def combine(case: str, sizes: Sizes) -> Runs:
    slots = sizes.tokens * CHOSEN
    x, weights = sizes.random(slots, sizes.hidden, grad=True), sizes.random(slots, 1, grad=True)
    tokens = torch.randperm(slots, device=sizes.device) // CHOSEN

    def eager(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(sizes.tokens, sizes.hidden).index_add(0, tokens, x * weights)

    return in_two_passes(case, {"torch eager (as transformers)": eager}, [x, weights])


def grouped(case: str, sizes: Sizes) -> Runs:
    groups, m, n, k = 8, sizes.tokens, sizes.intermediate // 4, sizes.hidden
    ends = [(group + 1) * m // groups for group in range(groups)]
    rows = [slice(first, last) for first, last in zip([0, *ends], ends)]
    x, w, dy = sizes.random(m, k), sizes.random(groups, n, k), sizes.random(m, n)
    if "weight" in case:
        return {"torch mm each": lambda: [dy[part].t() @ x[part] for part in rows]}
    a, b = (dy, w) if "backward" in case else (x, w.transpose(1, 2))
    runs: Runs = {"torch mm each": lambda: [a[part] @ b[group] for group, part in enumerate(rows)]}
    # Newer releases have it in torch.nn.functional.
    grouped_mm = getattr(F, "grouped_mm", getattr(torch, "_grouped_mm", None))
    if sizes.device == "cuda" and grouped_mm is not None:
        offsets = torch.tensor(ends, dtype=torch.int32, device=sizes.device)
        runs["torch grouped mm"] = lambda: grouped_mm(a, b, offs=offsets)
    return runs


BUILDERS: dict[str, Callable[[str, Sizes], Runs]] = {
    "linear_cross_entropy": linear_cross_entropy,
    "cross_entropy": cross_entropy,
    "rms_norm": rms_norm,
    "rope": rope,
    "swiglu": swiglu,
    "attention": attention,
    "lora": lora,
    "matmul": matmul,
    "adamw": adamw,
    "sgd": sgd,
    "grad_norm": grad_norm,
    "embedding": embedding,
    "add": elementwise,
    "sum_rows": elementwise,
    "nf4": nf4,
    "router": router,
    "combine": combine,
    "grouped": grouped,
}


def peers(case: str, model: dict[str, int], tokens: int, device: str, compiling: bool) -> Runs:
    """Every peer of a case by name; empty where no peer has the op."""
    if any(text in case for text in ("capped", "smoothed", "all values")):
        return {}
    # Compiling takes seconds a case; variants of one kernel say nothing new.
    if any(text in case for text in ("lora", "GeluTanh", "50%", "90%")):
        compiling = False
    builder = next((build for prefix, build in BUILDERS.items() if case.startswith(prefix)), None)
    return {} if builder is None else builder(case, Sizes(model, tokens, device, compiling))

