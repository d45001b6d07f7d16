"""The command `python -m gan.training`."""

import argparse
import sys
from pathlib import Path

import torch

from dataprep.errors import ShhqError
from dataprep.models.body_files import STANDIN as BODY
from dataprep.models.body_files import open_body
from dataprep.models.face_files import STANDIN as FACE
from dataprep.models.face_files import open_face
from gan.presets import PRESETS, describe, preset
from gan.training.loop import RunOptions, train


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gan.training", description="Train on shards. To resume, run the same command again."
    )
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="output folders of shhq-hs run")
    parser.add_argument("--preset", choices=list(PRESETS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--from", dest="begun_from", type=Path, help="run folder of stage 1, for stage 2")
    parser.add_argument("--images", type=int, help="real images to see (default: the preset's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--body", default=BODY, help="body model of the labels")
    parser.add_argument("--face", default=FACE, help="face model of the labels")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--micro", type=int, default=4, help="pictures in memory at a time; must divide the batch")
    parser.add_argument("--workers", type=int, default=0, help="loader processes")
    parser.add_argument("--every", type=int, help="images between checkpoints and snapshots (default: a twentieth)")
    given = parser.parse_args(arguments)
    try:
        chosen = preset(given.preset, **({"images": given.images} if given.images else {}))
        print(describe(chosen))
        every = given.every or max(chosen.batch, chosen.images // 20)
        options = RunOptions(given.device, given.micro, given.workers, every, every)
        body, face = open_body(given.body), open_face(given.face)
        train(given.data, chosen, given.out, body, face, given.seed, given.begun_from, options, _report)
    except ShhqError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _report(images_seen: int, losses: dict[str, float]) -> None:
    shown = "  ".join(f"{name} {value:.4g}" for name, value in losses.items() if value and not name.startswith("r1"))
    print(f"{images_seen:>9,}  {shown}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
