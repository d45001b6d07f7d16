"""Training losses as small charts, inline SVG."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape

POINTS = 160  # a curve is averaged into at most so many
_WIDTH, _HEIGHT, _LEFT, _TOP, _FLOOR = 270, 110, 56, 10, 88


class Curve(NamedTuple):
    """Means over equal stretches of training."""

    name: str
    images_seen: np.ndarray
    values: np.ndarray


def curves(rows: Sequence[dict[str, Any]]) -> list[Curve]:
    """Return the curve of every value that a log holds, in the order of its first row."""
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name != "images_seen"]
    out = []
    for name in names:
        points = [(row["images_seen"], row[name]) for row in rows if np.isfinite(row.get(name, np.nan))]
        if len(points) < 2:
            continue
        pieces = np.array_split(np.array(points, np.float64), min(POINTS, len(points)))
        means = np.array([piece.mean(0) for piece in pieces])
        out.append(Curve(name, means[:, 0], means[:, 1]))
    return out


def chart(curve: Curve) -> Markup:
    """Draw one curve with the ends of both axes named."""
    low, high = float(curve.values.min()), float(curve.values.max())
    span = (high - low) or 1.0
    last = float(curve.images_seen.max()) or 1.0
    x = _LEFT + (_WIDTH - _LEFT - 8) * curve.images_seen / last
    y = _FLOOR - (_FLOOR - _TOP) * (curve.values - low) / span
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    text = [
        (_LEFT - 5, _TOP + 4, "end", f"{high:.2g}"), (_LEFT - 5, _FLOOR + 4, "end", f"{low:.2g}"),
        (_LEFT, _HEIGHT - 6, "start", "0"), (_WIDTH - 8, _HEIGHT - 6, "end", f"{last:,.0f} images"),
    ]  # fmt: skip
    labels = "".join(f'<text x="{a}" y="{b}" text-anchor="{at}">{escape(said)}</text>' for a, b, at, said in text)
    described = f"{escape(curve.name)}: from {curve.values[0]:.3g} to {curve.values[-1]:.3g}"
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{described}">'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{_FLOOR}H{_WIDTH - 8}"/>'
        f'<path class="curve" d="{path}"/>{labels}</svg>'
    )
