"""Charts and overlays as inline SVG. Colours come from the page's style sheet, so both themes are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from dataprep import geometry
from dataprep.overlays import (
    KEYPOINT_BONES,
    LEFT,
    RIGHT,
    SMPL_BONES,
    VISIBLE,
    joint_colour,
    keypoint_colour,
    landmark_paths,
    square_corners,
)
from dataprep.report.numbers import HeatMap, Histogram

_PORTRAIT_PX = 512
_SIDES = {LEFT: "left", RIGHT: "right"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _FLOOR = 240, 104, 8, 16, 84  # a histogram's box, and where its bars stand


def portrait_overlay(row: Mapping[str, Any]) -> Markup:
    """68 landmarks and the SMPL skeleton over a portrait; "" when the row has neither."""
    layers = []
    if row.get("smpl_joints_px") is not None and row.get("crop_from_source") is not None:
        joints = geometry.transform(row["crop_from_source"].astype(np.float64), row["smpl_joints_px"])
        layers.append(_layer("skeleton", _skeleton(joints)))
    if row.get("landmarks68") is not None:
        layers.append(_layer("landmarks", _landmarks(row["landmarks68"])))
    return _overlay(_PORTRAIT_PX, _PORTRAIT_PX, layers)


def photograph_overlay(row: Mapping[str, Any]) -> Markup:
    """Key points, SMPL skeleton and portrait square over a photograph; "" when nothing was found."""
    layers = []
    if row.get("keypoints33") is not None:
        layers.append(_layer("keypoints", _keypoints(row["keypoints33"])))
    if row.get("smpl_joints_px") is not None:
        layers.append(_layer("skeleton", _skeleton(row["smpl_joints_px"])))
    if row.get("crop_centre_px") is not None:
        corners = square_corners(row["crop_centre_px"], float(row["crop_side_px"]), float(row["crop_roll_rad"]))
        layers.append(_layer("square", [("", _path(corners) + "z")]))
    return _overlay(row.get("source_width"), row.get("source_height"), layers)


def _overlay(width: int | None, height: int | None, layers: Sequence[str]) -> Markup:
    if not layers or not width or not height:
        return Markup("")
    return Markup(
        f'<svg class="overlay" viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(layers)}</svg>"
    )


def _layer(name: str, paths: Iterable[tuple[str, str]]) -> str:
    """Every path twice: a dark rim below, its colour above."""
    drawn = [(css, path) for css, path in paths if path]
    rims = "".join(f'<path class="rim" d="{path}"/>' for _, path in drawn)
    return f'<g class="{name}">{rims}{"".join(f"""<path class="{css}" d="{path}"/>""" for css, path in drawn)}</g>'


def _path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in points)


def _dot(point: np.ndarray) -> str:
    return f"M{point[0]:.0f} {point[1]:.0f}h0"  # a line of no length: its round cap is the dot


def _landmarks(points: np.ndarray) -> list[tuple[str, str]]:
    return [("", "".join(_path(points[path]) for path in landmark_paths()))]


def _skeleton(joints: np.ndarray) -> list[tuple[str, str]]:
    return _by_side([(_SIDES.get(joint_colour(b), "middle"), _path(joints[[a, b]])) for a, b in SMPL_BONES])


def _keypoints(points: np.ndarray) -> list[tuple[str, str]]:
    seen = points[:, 2] >= VISIBLE
    pieces = [(_SIDES.get(keypoint_colour(i), "middle"), _dot(points[i])) for i in np.flatnonzero(seen).tolist()]
    pieces += [(_bone_side(a, b), _path(points[[a, b], :2])) for a, b in KEYPOINT_BONES if seen[a] and seen[b]]
    return _by_side(pieces)


def _bone_side(a: int, b: int) -> str:
    return "middle" if (a + b) % 2 else _SIDES.get(keypoint_colour(a), "middle")


def _by_side(pieces: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    merged = {"right": "", "left": "", "middle": ""}
    for side, path in pieces:
        merged[side] += path
    return list(merged.items())


def histogram(chart: Histogram) -> Markup:
    """Bars over [0, 1]; what lies below the threshold in another colour, the threshold as a line with its value."""
    span = _WIDTH - 2 * _LEFT
    step, peak = span / len(chart.counts), max(*chart.counts, 1)
    line = _LEFT + span * chart.threshold
    bars = []
    for i, count in enumerate(chart.counts):
        height = (_FLOOR - _TOP) * count / peak
        if count:
            bars += _bar(_LEFT + i * step, step, max(height, 1.5), line, f"{i / 20:.2f} to {(i + 1) / 20:.2f}: {count}")
    ticks = "".join(
        f'<text x="{_LEFT + span * tick:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{tick:g}</text>'
        for tick, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    anchor = "end" if chart.threshold > 0.5 else "start"
    shift = -4 if chart.threshold > 0.5 else 4
    label = f"{chart.score}: {chart.judged} judged, {chart.below} below {chart.threshold:g}"
    return Markup(
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_FLOOR}" y2="{_FLOOR}"/>{"".join(bars)}{ticks}'
        f'<line class="threshold" x1="{line:.1f}" x2="{line:.1f}" y1="4" y2="{_FLOOR + 4}"/>'
        f'<text class="threshold" x="{line + shift:.1f}" y="12" text-anchor="{anchor}">{chart.threshold:g}</text></svg>'
    )


def _bar(x: float, step: float, height: float, line: float, title: str) -> list[str]:
    """One bar, cut in two where the threshold runs through it."""
    left, right = x + 0.5, x + step - 0.5
    cut = min(max(line, left), right)
    pieces = [("below", left, cut), ("above", cut, right)]
    return [
        f'<rect class="{css}" x="{a:.1f}" y="{_FLOOR - height:.1f}" width="{b - a:.1f}" height="{height:.1f}">'
        f"<title>{title}</title></rect>"
        for css, a, b in pieces
        if b - a > 0.05
    ]


def heat_map(chart: HeatMap) -> Markup:
    """Cells shaded by the square root of their count, numbered; yaw to the right, pitch up, ticks every 30 degrees."""
    cell, left, top = 26.0, 34.0, 6.0
    columns, rows = len(chart.yaw_edges_deg) - 1, len(chart.pitch_edges_deg) - 1
    peak = max((max(row) for row in chart.counts), default=0)
    width, height = left + columns * cell + 16, top + rows * cell + 22
    cells, labels = [], []
    for i, row in enumerate(chart.counts):
        for j, count in enumerate(row):
            x, y = left + j * cell, top + i * cell
            share = (count / peak) ** 0.5 if peak else 0
            fill = f' style="--share:{share:.2f}"' if count else ' class="none"'
            cells.append(f'<rect x="{x:g}" y="{y:g}" width="{cell - 1:g}" height="{cell - 1:g}"{fill}/>')
            if count:
                css = ' class="strong"' if share > 0.6 else ""
                labels.append(f'<text{css} x="{x + 12.5:g}" y="{y + 17:g}" text-anchor="middle">{_short(count)}</text>')
    for j, edge in enumerate(chart.yaw_edges_deg):
        if edge % 30 == 0:
            labels.append(_tick(left + j * cell - 0.5, height - 6, "middle", edge))
    for i, edge in enumerate(reversed(chart.pitch_edges_deg)):
        if edge % 20 == 10:
            labels.append(_tick(left - 6, top + i * cell + 4, "end", edge))
    return Markup(
        f'<svg class="heat" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(chart.title)}: portraits by yaw and pitch">{"".join(cells)}{"".join(labels)}</svg>'
    )


def _tick(x: float, y: float, anchor: str, angle_deg: float) -> str:
    text = f"{angle_deg:+.0f}°".replace("-", "−") if angle_deg else "0°"
    return f'<text class="tick" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>'


def _short(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.0f}k" if count >= 9950 else f"{count / 1000:.1f}k"
