"""What torch knows of this machine's CPU."""

import torch


def multiplies_bfloat16() -> bool:
    """Say whether the CPU has products of bfloat16 numbers, in vectors or in tiles."""
    return _has("_is_avx512_bf16_supported") or has_amx()


def has_amx() -> bool:
    """Say whether the CPU multiplies bfloat16 numbers in tiles, as torch then makes it do."""
    return _has("_is_amx_tile_supported")


def _has(flag: str) -> bool:
    return bool(getattr(torch.cpu, flag, lambda: False)())  # private names, which another torch may lack
