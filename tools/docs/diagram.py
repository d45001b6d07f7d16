"""Draw docs/images/architecture.svg: `python -m tools.docs.diagram [FILE]` (`make docs`).

Every box names the file that holds it; a test checks that the files exist and that the drawing is fresh. Drawn here,
because Graphviz is a program of the system, which set-up does not install, and Mermaid draws in the reader's browser:
README on a package index would show its source.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, ROW, BOX_H = 1180, 86, 52
_COLOURS = {"data": "#e8eef7", "net": "#fdf0d5", "geometry": "#e6f4ea", "judge": "#fbe4e4", "file": "#f4f4f4"}


@dataclass(frozen=True)
class Box:
    """A box: its column and row in units of the grid, what it is, and the file that holds it ("" for data)."""

    key: str
    x: float
    y: float
    title: str
    file: str
    kind: str
    width: float = 1.0


_PIPELINE = (
    Box("photos", 0, 0.0, "photographs", "dataprep/tables/sources.py", "file"),
    Box("ingest", 1, 0.0, "ingest", "dataprep/stages/ingest.py", "data"),
    Box("detect", 2, 0.0, "detect", "dataprep/stages/detect.py", "data"),
    Box("body", 3, 0.0, "body: SMPL by EFT", "dataprep/stages/body.py", "data"),
    Box("crop", 4, 0.0, "crop", "dataprep/stages/crop.py", "data"),
    Box("superres", 4, 1.0, "superres: ESRGAN", "dataprep/stages/superres.py", "data"),
    Box("matte", 3, 1.0, "matte", "dataprep/stages/matte.py", "data"),
    Box("face", 2, 1.0, "face: 3DMM", "dataprep/stages/face.py", "data"),
    Box("camera", 1, 1.0, "camera", "dataprep/stages/camera.py", "data"),
    Box("likeness", 0, 1.0, "likeness: who it is", "dataprep/stages/likeness.py", "data"),
    Box("quality", 0, 2.0, "quality", "dataprep/stages/quality.py", "data"),
    Box("manifest", 1, 2.0, "manifest", "dataprep/stages/manifest.py", "data"),
    Box("shards", 2, 2.0, "shards", "dataprep/stages/shards.py", "data"),
    Box("report", 3, 2.0, "report", "dataprep/stages/report.py", "data"),
    Box("store", 4, 2.0, "parts on disk", "dataprep/tables/store.py", "file"),
)
_GENERATOR = (
    Box("stream", 0, 3.5, "real pictures, labels", "gan/data/stream.py", "data"),
    Box("prior", 0, 4.5, "codes: id, exp, pose, camera", "gan/data/priors.py", "data"),
    Box("cameras", 1, 4.5, "portrait and face camera", "gan/rendering/cameras.py", "geometry"),
    Box("skinning", 2, 4.5, "inverse skinning", "gan/rendering/skinning.py", "geometry"),
    Box("smpl", 2, 3.5, "posed SMPL", "gan/rendering/posed_body.py", "geometry"),
    Box("dp", 3, 4.5, "D_p: pose deformation", "gan/networks/pose_deformation.py", "net"),
    Box("de", 4, 4.5, "D_e: expression deformation", "gan/networks/expression_deformation.py", "net"),
    Box("m", 4, 5.5, "M: manifold predictor", "gan/networks/manifold_predictor.py", "net"),
    Box("levels", 3, 5.5, "ray meets level sets", "gan/rendering/level_sets.py", "geometry"),
    Box("phi", 0, 5.5, "phi: radiance generator", "gan/networks/radiance_generator.py", "net"),
    Box("maps", 1, 5.5, "radiance maps", "gan/rendering/radiance_maps.py", "geometry"),
    Box("u", 1, 6.5, "U: manifold super-resolution", "gan/networks/manifold_superres.py", "net"),
    Box("compose", 2, 6.5, "compositing, Eq. 8", "gan/rendering/compositing.py", "geometry"),
    Box("critics", 3, 6.5, "D_whole, D_face, D_torso", "gan/networks/critics.py", "judge"),
    Box("losses", 4, 6.5, "losses, Eqs. 9-13, R1", "gan/losses.py", "judge"),
    Box("generator", 0, 6.5, "the five together", "gan/rendering/generator.py", "file"),
    Box("loop", 0, 7.5, "training, two stages", "gan/training/loop.py", "file"),
    Box("evaluate", 1, 7.5, "evaluation", "gan/evaluation/evaluation_run.py", "file"),
    Box("track", 2, 7.5, "tracking of a video", "dataprep/tracking/tracker.py", "file"),
    Box("animate", 3, 7.5, "animation", "gan/animation/animate.py", "file"),
    Box("presets", 4, 7.5, "presets", "gan/presets.py", "file"),
)
BOXES = (*_PIPELINE, *_GENERATOR)
_ARROWS = """
photos>ingest ingest>detect detect>body body>crop crop>superres superres>matte matte>face face>camera
camera>likeness likeness>quality quality>manifest manifest>shards shards>report shards>stream prior>cameras
cameras>skinning smpl>skinning skinning>dp dp>de de>m m>levels levels>maps phi>maps maps>u u>compose compose>critics
critics>losses stream>prior
"""
ARROWS = tuple(_ARROWS.split())
_LEFT, _TOP, _STEP = 24, 64, 228


def svg() -> str:
    """The drawing."""
    places = {box.key: _place(box) for box in BOXES}
    height = _TOP + int(7.5 * ROW) + BOX_H + 48
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<title>The pipeline and the generator, with the file of every box</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#666"/></marker></defs>',
        _heading(_LEFT, 30, "From photographs to SHHQ-HS (one stage a file)"),
        _heading(_LEFT + 290, _TOP + int(3.5 * ROW) - 20, "The generator, its training and its uses"),
    ]
    shapes += [_arrow(*(places[key] for key in arrow.split(">"))) for arrow in ARROWS]
    shapes += [_box(box, *places[box.key]) for box in BOXES]
    shapes.append(_legend(height - 22))
    return "\n".join([*shapes, "</svg>", ""])


def _place(box: Box) -> tuple[float, float]:
    """Left and top of a box in px."""
    return _LEFT + box.x * _STEP, _TOP + box.y * ROW


_BOX_W = 196


def _box(box: Box, x: float, y: float) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{_BOX_W}" height="{BOX_H}" rx="6" fill="{_COLOURS[box.kind]}" stroke="#888"/>'
        f'<text x="{x + _BOX_W / 2}" y="{y + 21}" text-anchor="middle" font-size="13">{escape(box.title)}</text>'
        f'<text x="{x + _BOX_W / 2}" y="{y + 40}" text-anchor="middle" font-size="11" fill="#345" '
        f'font-family="monospace">{escape(box.file)}</text>'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """From the rim of one box to that of the next: sideways in a row, else down."""
    (x0, y0), (x1, y1) = start, end
    if y0 == y1:
        right = x1 > x0
        points = (x0 + (_BOX_W if right else 0), y0 + BOX_H / 2, x1 + (0 if right else _BOX_W), y1 + BOX_H / 2)
    else:
        points = (x0 + _BOX_W / 2, y0 + BOX_H, x1 + _BOX_W / 2, y1)
    a, b, c, d = points
    return f'<path d="M{a} {b} L{c} {d}" stroke="#666" stroke-width="1.4" fill="none" marker-end="url(#tip)"/>'


def _heading(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="16" font-weight="bold">{escape(text)}</text>'


def _legend(y: float) -> str:
    words = {"data": "stages and data", "net": "networks", "geometry": "geometry", "judge": "critics and losses",
             "file": "around them"}  # fmt: skip
    pieces = []
    for i, (kind, word) in enumerate(words.items()):
        x = _LEFT + i * 170
        pieces.append(
            f'<rect x="{x}" y="{y - 11}" width="14" height="14" rx="3" fill="{_COLOURS[kind]}" stroke="#888"/>'
            f'<text x="{x + 20}" y="{y}" font-size="12">{word}</text>'
        )
    return "".join(pieces)


def main(path: Path) -> None:
    """Write the drawing."""
    path.write_text(svg(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/architecture.svg"))
