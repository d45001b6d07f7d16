"""Charts by matplotlib as inline SVG, in the colours of the page's style sheet, so that both themes are served.

Static drawings need no script, print, and are the same bytes for the same numbers. Every bar and cell has a title that
the browser shows on hover; the page repeats the numbers in words or in a table for those who do not see them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from dataprep.report.coverage import PERCENTILES, HeatMap, Ranges, SizeHistogram
from dataprep.report.numbers import Histogram
from dataprep.wording import plural

# Stand-ins that no chart uses otherwise; the page's variables take their place.
_GOOD, _LOST, _INK, _SOFT, _LINE, _TRACK, _PAPER = (
    "#0b7d01", "#b84801", "#1b1c01", "#5d6001", "#dcdc01", "#e7e701", "#f7f701",
)  # fmt: skip
_VARIABLES = {
    _GOOD: "--good", _LOST: "--lost", _INK: "--ink", _SOFT: "--soft", _LINE: "--line", _TRACK: "--track",
    _PAPER: "--paper",
}  # fmt: skip
_STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "report", "font.size": 9, "axes.edgecolor": _LINE, "text.color": _SOFT,
    "axes.labelcolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "xtick.major.size": 0, "ytick.major.size": 0,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "path.simplify": False,
}  # fmt: skip
_PX = 1 / 72  # inches of an SVG unit
_MOST_TICKS = 4


def histogram(chart: Histogram) -> Markup:
    """Bars over [0, 1]; what lies below the threshold in another colour, the threshold as a line with its value."""
    edges = np.linspace(0, 1, len(chart.counts) + 1)

    def draw(axes: Any) -> None:
        peak = max(*chart.counts, 1)
        for i, count in enumerate(chart.counts):
            if count:
                _threshold_bar(axes, edges[i], edges[i + 1], max(count, 0.015 * peak), chart.threshold, count)
        axes.axvline(chart.threshold, color=_INK, linewidth=1.3, ymax=1.02, clip_on=False)
        right = chart.threshold > 0.5
        axes.text(chart.threshold + (-0.012 if right else 0.012), 1.06 * peak, f"{chart.threshold:g}", color=_INK,
                  ha="right" if right else "left", weight="bold")  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1.12 * peak), xticks=(0, 0.25, 0.5, 0.75, 1), yticks=())
        axes.set_xticklabels(("0", "", "0.5", "", "1"))

    label = f"{chart.score}: {chart.judged} judged, {chart.below} below {chart.threshold:g}, median {chart.median}"
    return _svg(300, 122, label, draw)


def _threshold_bar(axes: Any, low: float, high: float, height: float, threshold: float, count: int) -> None:
    """One bar, cut in two where the threshold runs through it."""
    gap = 0.003
    cut = min(max(threshold, low + gap), high - gap)
    title = f"{low:.2f} to {high:.2f}: {count}"
    for a, b, colour in ((low + gap, cut, _LOST), (cut, high - gap, _GOOD)):
        if b - a > 1e-3:
            _titled(axes.add_patch(Rectangle((a, 0), b - a, height, color=colour, linewidth=0)), title)


def heat_map(chart: HeatMap) -> Markup:
    """Cells shaded by the square root of their count, numbered; yaw to the right, pitch up."""
    peak = max((max(row) for row in chart.counts), default=0)
    yaw, pitch = chart.yaw_edges_deg, chart.pitch_edges_deg[::-1]

    def draw(axes: Any) -> None:
        for i, row in enumerate(chart.counts):
            for j, count in enumerate(row):
                share = (count / peak) ** 0.5 if peak else 0.0
                size = (yaw[j + 1] - yaw[j] - 0.4, pitch[i] - pitch[i + 1] - 0.4)
                colour, alpha = (_GOOD, 0.14 + 0.86 * share) if count else (_TRACK, 0.55)
                cell = Rectangle((yaw[j] + 0.2, pitch[i + 1] + 0.2), *size, linewidth=0, color=colour, alpha=alpha)
                axes.add_patch(cell)
                if count:
                    place = f"yaw {yaw[j]:+.0f} to {yaw[j + 1]:+.0f}°, pitch {pitch[i + 1]:+.0f} to {pitch[i]:+.0f}°"
                    _titled(cell, f"{place}: {count}")
                    axes.text(yaw[j] + 5, pitch[i] - 5, _short(count), ha="center", va="center",
                              color=_PAPER if share > 0.6 else _INK)  # fmt: skip
        axes.set(xlim=(yaw[0], yaw[-1]), ylim=(pitch[-1], pitch[0]), aspect="equal")
        axes.set(xticks=range(-90, 91, 30), yticks=range(-40, 41, 20))
        axes.set_xticklabels([_angle(a) for a in range(-90, 91, 30)])
        axes.set_yticklabels([_angle(a) for a in range(-40, 41, 20)])
        axes.spines["bottom"].set_visible(False)

    total = sum(map(sum, chart.counts))
    return _svg(560, 330, f"{chart.title}: {total} {plural(total, 'portrait')} by yaw and pitch", draw)


def ranges(chart: Ranges) -> Markup:
    """A line from the smallest to the largest, a bar over the middle half, a tick at the median, one row a number."""
    names = [row.label for row in chart.rows]
    low, p5, p25, median, p75, p95, high = (PERCENTILES.index(p) for p in (0, 5, 25, 50, 75, 95, 100))

    def draw(axes: Any) -> None:
        axes.axvline(0, color=_LINE, linewidth=1)
        for y, row in enumerate(chart.rows):
            p = row.percentiles
            axes.plot((p[low], p[high]), (y, y), color=_LINE, linewidth=1.6, solid_capstyle="round")
            axes.plot((p[p5], p[p95]), (y, y), color=_SOFT, linewidth=1.6, solid_capstyle="round")
            bar = Rectangle((p[p25], y - 0.28), max(p[p75] - p[p25], 1e-6), 0.56, color=_GOOD, linewidth=0)
            title = ", ".join(f"{q}%: {value:.3g}" for q, value in zip(PERCENTILES, p, strict=True))
            _titled(axes.add_patch(bar), f"{row.label} ({chart.unit}): {title}")
            axes.plot((p[median],) * 2, (y - 0.34, y + 0.34), color=_INK, linewidth=1.6)
        axes.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)))
        axes.set_yticklabels(names)
        axes.locator_params(axis="x", nbins=7)

    return _svg(420, 26 + 17 * len(names), f"{chart.title}: ranges in {chart.unit}", draw)


def sizes(chart: SizeHistogram) -> Markup:
    """One bar a range of sizes, each with its count above."""
    labels = [f"{a:g}–{b:g}" for a, b in zip(chart.edges, chart.edges[1:], strict=False)]
    labels += [f"{chart.edges[-1]:g}+"]

    def draw(axes: Any) -> None:
        for x, (label, count) in enumerate(zip(labels, chart.counts, strict=True)):
            if count:
                bar = axes.add_patch(Rectangle((x - 0.42, 0), 0.84, count, color=_GOOD, linewidth=0))
                _titled(bar, f"{label} {chart.unit}: {count}")
                axes.text(x, count + 0.02 * max(chart.counts), _short(count), ha="center", va="bottom", color=_INK)
        axes.set(xlim=(-0.6, len(labels) - 0.4), ylim=(0, 1.15 * max(*chart.counts, 1)), yticks=())
        axes.set_xticks(range(len(labels)), labels)

    total = sum(chart.counts)
    return _svg(480, 150, f"{chart.title}: {total} {plural(total, 'portrait')}", draw)


def _svg(width: float, height: float, label: str, draw: Callable[[Any], None]) -> Markup:
    """`draw` on one pair of axes, as an accessible inline SVG of `width` x `height` units."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(
            figsize=(width * _PX, height * _PX), dpi=72, layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
        )
        draw(figure.add_subplot())
        for artist in figure.findobj():
            artist.set_clip_on(False)
        buffer = io.StringIO()
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return _inlined(buffer.getvalue(), label)


def _inlined(text: str, label: str) -> Markup:
    """Without what only a file needs: prologue, metadata, ids; colours as the page's variables."""
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="title:([^"]*)">', r"<g><title>\1</title>", text)
    text = re.sub(r' id="[^"]*"', "", text)
    text = re.sub(r"font: ([^;\"]*?)\d*\.?\d+px [^;\"]*", r"font: \g<1>9px sans-serif", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"(\d+\.\d{2})\d+", r"\1", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">", text.index("<svg")) + 1 :]
    view = box[1] if box else "0 0 1 1"
    head = f'<svg class="chart" viewBox="{view}" role="img" aria-label="{escape(label)}">'
    return Markup(head + re.sub(r">\s+<", "><", body).strip())


def _titled(artist: Any, title: str) -> None:
    artist.set_gid("title:" + str(escape(title)))


def _angle(degrees: float) -> str:
    return f"{degrees:+.0f}°".replace("-", "−") if degrees else "0°"


def _short(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.0f}k" if count >= 9950 else f"{count / 1000:.1f}k"
