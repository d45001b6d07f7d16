"""Words that agree with the number before them."""

from __future__ import annotations


def plural(count: float, one: str, many: str = "") -> str:
    """Give `one` for exactly one, else `many`; without it, `one` with an s."""
    return one if count == 1 else many or f"{one}s"
