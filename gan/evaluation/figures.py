"""What the generator made, as pictures: drawn people beside real ones, the least and most like real, control sweeps.

Suffixes: N pictures, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from dataprep.report.sheets import grid, text_width, write_text
from gan.data.priors import Codes
from gan.evaluation.control_sweep import KINDS, YAWS_RAD, sweep_person
from gan.evaluation.evaluation_run import Outcome
from gan.evaluation.fakes import Fakes
from gan.evaluation.result_chunks import one_thread

DRAWN, RANKED, PEOPLE = 24, 8, 3
CELL_PX, TITLE_PX = 128, 16
_MARGIN = 10

Rgb = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class NumberFigure:
    """A picture with what it shows."""

    name: str
    title: str
    rgb: Rgb


def make_figures(outcome: Outcome, people: int) -> list[NumberFigure]:
    """Render the pictures of the page from the same draws that were measured."""
    with one_thread():
        fakes, _ = outcome.source.open()
        return _figures(outcome, fakes, people)


def _figures(outcome: Outcome, fakes: Fakes, people: int) -> list[NumberFigure]:
    count = len(outcome.nearest_real)
    drawn = fakes.render(fakes.codes(range(min(DRAWN, count))))
    real = outcome.reals.pictures(outcome.reals.open(outcome.sizes), range(min(DRAWN, len(outcome.reals))))
    order = np.argsort(outcome.nearest_real, kind="stable")
    best, worst = order[:RANKED], order[::-1][:RANKED]
    figures = [
        NumberFigure(
            "generated", f"Generated: the first {len(drawn.portrait_NHW3)} draws", _cells(drawn.portrait_NHW3)
        ),
        NumberFigure("generated-faces", "The same by the face camera", _cells(drawn.face_NHW3)),
        NumberFigure("real", f"Real: the first {len(real.portrait_NHW3)}", _cells(real.portrait_NHW3)),
        NumberFigure("real-faces", "The same by the face camera", _cells(real.face_NHW3)),
        NumberFigure("nearest", f"Most like a real one, of {count:,}", _ranked(fakes, best)),
        NumberFigure("farthest", f"Least like any real one, of {count:,}", _ranked(fakes, worst)),
    ]
    return figures + (_strips(fakes, min(PEOPLE, people)) if people else [])


def _ranked(fakes: Fakes, indices: np.ndarray) -> Rgb:
    portraits = [fakes.render(fakes.codes(range(i, i + 1))).portrait_NHW3[0] for i in indices.tolist()]
    return _cells(np.stack(portraits))


def _strips(fakes: Fakes, people: int) -> list[NumberFigure]:
    """One row a person, one strip a kind of command, everything else as it is."""
    said = {
        "expression": "Expressions commanded, everything else the same (face camera)",
        "pose": "Poses commanded, everything else the same",
        "camera": "Cameras from " + ", ".join(f"{np.degrees(yaw):+.0f}" for yaw in YAWS_RAD) + " degrees of yaw",
    }
    rows: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for person in range(people):
        identity, codes = sweep_person(fakes, person)
        for kind, frames in KINDS.items():
            view = fakes.faces if kind == "expression" else fakes.portraits
            with torch.no_grad():
                rows[kind].append(view(identity, Codes(*(values[frames] for values in codes))))
    return [
        NumberFigure(f"sweep-{kind}", said[kind], _cells(np.concatenate(images), len(images[0])))
        for kind, images in rows.items()
    ]


def _cells(image_NHW3: Sequence[np.ndarray] | np.ndarray, columns: int = 8) -> Rgb:
    cells = [np.asarray(Image.fromarray(image).resize((CELL_PX, CELL_PX), _filter(image))) for image in image_NHW3]
    return grid(cells, CELL_PX, CELL_PX, columns)


def _filter(image: np.ndarray) -> Image.Resampling:
    """Large pictures are averaged, small ones shown as the squares that they are."""
    return Image.Resampling.BOX if image.shape[0] > CELL_PX else Image.Resampling.NEAREST


def summary_sheet(lines: Sequence[str], figures: Sequence[NumberFigure]) -> Rgb:
    """Return one picture with the numbers on top and the figures below."""
    texts = [(line, TITLE_PX) for line in lines]
    width = max(figure.rgb.shape[1] for figure in figures)
    width = max(width, *(int(text_width(line, size)) for line, size in texts)) + 2 * _MARGIN
    parts = [_line(line, width, size) for line, size in texts]
    for figure in figures:
        parts.append(_line(figure.title, width, TITLE_PX))
        sheet = np.full((figure.rgb.shape[0], width, 3), 255, np.uint8)
        sheet[:, _MARGIN : _MARGIN + figure.rgb.shape[1]] = figure.rgb
        parts.append(sheet)
    return np.concatenate(parts)


def _line(text: str, width: int, size_px: int) -> Rgb:
    return write_text(
        np.full((round(1.7 * size_px), width, 3), 255, np.uint8), (_MARGIN, 0.35 * size_px), text, size_px
    )
