"""Random weights by counting: the same numbers here and in benchmarks/steps/generator.rs, so that two programs train the same
model of any size without a file between them.

Word `i` of a tensor is `mix(i · 0x9E3779B9 ^ key)`, its key `mix(fnv1a(name) ^ seed)`, `mix` the finalizer of MurmurHash3. All
integers are 32 bits and wrap.
"""

from __future__ import annotations

import torch

CHUNK = 1 << 24
GOLDEN = 0x9E3779B9
# Four bytes added up: mean 510, deviation √(4 · (256² − 1) / 12); nearly normal, and exact in any arithmetic.
BYTES_MEAN = 510
BYTES_DEVIATION = 147.80053
MASK = 0xFFFFFFFF


def mix(x: int) -> int:
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & MASK
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & MASK
    return x ^ (x >> 16)


def key(name: str, seed: int) -> int:
    hashed = 0x811C9DC5
    for byte in name.encode():
        hashed = ((hashed ^ byte) * 0x01000193) & MASK
    return mix(hashed ^ seed)


def signed(x: int) -> int:
    """The same 32 bits as torch.int32 has them."""
    return x - (1 << 32) if x >= 1 << 31 else x


def words(key: int, start: int, count: int, device: torch.device) -> torch.Tensor:
    """Words `start .. start + count` as int32."""
    x = torch.arange(start, start + count, device=device, dtype=torch.int64).to(torch.int32)
    x.mul_(signed(GOLDEN)).bitwise_xor_(signed(key))
    # Shifts of int32 carry the sign in: the mask takes it out again.
    x.bitwise_xor_((x >> 16) & 0xFFFF).mul_(signed(0x85EBCA6B))
    x.bitwise_xor_((x >> 13) & 0x7FFFF).mul_(signed(0xC2B2AE35))
    return x.bitwise_xor_((x >> 16) & 0xFFFF)


def normal(name: str, seed: int, shape: tuple[int, ...], mean: float, deviation: float, device: torch.device,
           dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """Nearly normal numbers, rounded to bfloat16 whatever the dtype they are given in."""
    elements = torch.Size(shape).numel()
    out = torch.empty(elements, device=device, dtype=dtype)
    scale = torch.tensor(deviation / BYTES_DEVIATION, dtype=torch.float32, device=device)
    for start in range(0, elements, CHUNK):
        x = words(key(name, seed), start, min(CHUNK, elements - start), device)
        total = (x & 255) + ((x >> 8) & 255) + ((x >> 16) & 255) + ((x >> 24) & 255) - BYTES_MEAN
        numbers = total.to(torch.float32) * scale + torch.tensor(mean, dtype=torch.float32, device=device)
        out[start : start + numbers.numel()] = numbers.to(torch.bfloat16).to(dtype)
    return out.view(shape)


def uniform_bytes(name: str, seed: int, count: int, device: torch.device) -> torch.Tensor:
    """Bytes of the words, the lowest first."""
    padded = -(-count // 4) * 4
    out = torch.empty(padded, device=device, dtype=torch.uint8)
    for start in range(0, padded // 4, CHUNK):
        x = words(key(name, seed), start, min(CHUNK, padded // 4 - start), device)
        out[4 * start : 4 * (start + x.numel())] = x.view(torch.uint8)
    return out[:count]


def nested_scales(name: str, seed: int, count: int, typical: float, device: torch.device) -> torch.Tensor:
    """Scales of the second level of NF4: between a quarter and three quarters of `typical`."""
    x = words(key(name, seed), 0, count, device)
    unit = ((x >> 8) & 0xFFFFFF).to(torch.float32) * torch.tensor(2.0**-24, device=device)
    return (unit * 0.5 + 0.25) * torch.tensor(typical, dtype=torch.float32, device=device)
