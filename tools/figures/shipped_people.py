"""Draw docs/images/people.jpg: forty random people of the shipped generator, `python -m tools.figures.shipped_people`.

They are the people of `shhq-hs animate --seeds 0-39 --frames 1`, with the pose, camera and expression drawn for each.
Nobody was chosen or left out.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from pipelines.main import main as shhq_hs

PEOPLE, COLUMNS, SIDE_PX, QUALITY = 40, 10, 128, 88


def tiles(grid: Path) -> UInt8[np.ndarray, "n h w 3"]:
    """Return the pictures of a grid that `animate` wrote, one person a row, at SIDE_PX."""
    picture = cv2.imread(str(grid))
    rows = np.split(picture, PEOPLE)
    return np.stack([cv2.resize(row, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for row in rows])


def sheet(portraits: UInt8[np.ndarray, "n h w 3"], faces: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return rows of portraits, each above the faces of the same people."""
    rows = []
    for first in range(0, PEOPLE, COLUMNS):
        rows += [np.concatenate(list(part[first : first + COLUMNS]), 1) for part in (portraits, faces)]
    return np.concatenate(rows)


def main() -> None:
    """Animate, arrange and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/people.jpg"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--seeds", f"0-{PEOPLE - 1}", "--frames", "1", "--kinds", "png", "--out", folder]
        if shhq_hs(["animate", *asked]):
            raise SystemExit("animate failed")
        picture = sheet(*(tiles(Path(folder) / f"{view}.png") for view in ("portrait", "face")))
    cv2.imwrite(str(options.out), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
