"""Write the measured numbers of README.md: `python -m tools.docs.measured_numbers` (`make docs`). Nobody types them.

`docs/numbers/` holds what commands measured (`make numbers` writes it anew). A table stands between
`<!-- numbers: NAME -->` and `<!-- end -->`; a test compares it with the files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "numbers"
PAGES = ("README.md",)
_PLACE = re.compile(r"(<!-- numbers: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ERRORS = (
    ("landmarks68_pct", "68 landmarks, % of the outer eye-corner distance", "{:.1f}"),
    ("head_3dmm_deg", "head rotation, 3DMM", "{:.1f}°"),
    ("head_smpl_deg", "head rotation, SMPL", "{:.1f}°"),
    ("chest_smpl_deg", "chest rotation, SMPL", "{:.1f}°"),
    ("joints_pct", "projected head and neck joints, % of the crop's side", "{:.1f}"),
    ("crop_centre_pct", "crop centre, % of its side", "{:.1f}"),
    ("crop_scale_pct", "crop side, %", "{:.1f}"),
    ("crop_roll_deg", "crop roll", "{:.1f}°"),
    ("alpha_mae", "alpha where no mask was supplied", "{:.3f}"),
)


def accuracy(numbers: Mapping[str, Any]) -> str:
    """Return errors of labels against truth, median and 90%, and the correlation of expressions."""
    rows = [(what, *(form.format(numbers[key][part]) for part in ("median", "p90"))) for key, what, form in _ERRORS]
    corr, accepted = numbers["expression_corr"], numbers["accepted"]
    words = [
        f"Over the {accepted['n']} accepted of {accepted['of']} photographs with truth. Expressions correlate",
        f"{corr['centred_strongest10']:.2f} with truth for the ten strongest directions and {corr['centred']:.2f} over "
        "all 64, both about each",
        "coefficient's mean. A constant scores nothing there.",
    ]
    return f"{_table(('error', 'median', '90%'), rows)}\n\n" + "\n".join(words) + "\n"


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {"accuracy": accuracy}


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def written(text: str, folder: Path = FOLDER) -> str:
    """Return a page with its tables as the files have them."""
    return _PLACE.sub(lambda place: place[1] + _of(place[2], folder) + place[3], text)


def _of(name: str, folder: Path) -> str:
    return "\n" + TABLES[name](json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))) + "\n"


def keep(name: str, measured: Path, folder: Path = FOLDER) -> None:
    """Put what a command measured into the folder, in four digits: more are the machine's own."""
    numbers = json.loads(measured.read_text(encoding="utf-8"))
    TABLES[name](numbers)  # what lacks a number is not kept
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(_short(numbers), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep what `--keep NAME=FILE` names, then write the pages again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="append", default=[], metavar="NAME=FILE", help=f"of {', '.join(TABLES)}")
    for given in parser.parse_args(arguments).keep:
        name, _, file = given.partition("=")
        keep(name, Path(file))
    for page in (ROOT / name for name in PAGES):
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
