"""`shhq-hs evaluate`: how good a generator is, and does it obey?"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.config_file import add_config_argument
from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
examples (docs/evaluation.md says what every number means):
  shhq-hs evaluate RUN --data OUT                                        offline metrics, control, a page of pictures
  shhq-hs evaluate RUN --data OUT --count 20000 --inception FILE.pth     FID and KID, with the weights of pytorch-fid:
                                 pt_inception-2015-12-05-6726825d.pth (found by itself in the assets folder)
  shhq-hs compare-runs RUN1 RUN2                                         evaluated runs side by side
To resume, run the same command again.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run_folder", type=Path, metavar="RUN", help="folder of a run of shhq-hs train, or a checkpoint")
    add("--data", nargs="+", type=Path, required=True, metavar="OUT", help="data sets: real pictures and label rows")
    add("--out", type=Path, metavar="DIR", help="folder for the report (default: RUN/evaluation)")
    add("--count", type=int, default=1000, metavar="N", help="generated pictures (default 1000; the paper has 20000)")
    add("--real", type=int, metavar="N", help="real pictures, drawn from the seed (default: all)")
    add("--split", default="train", choices=("train", "val"), help="of the data set (default train)")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    add("--psi", type=float, default=1.0, help="truncation: 0 the mean person, 1 none (default)")
    add("--inception", type=Path, metavar="FILE", help="Inception weights for FID and KID")
    add("--resize", default="tf1", metavar="R", help="before Inception: tf1 (torch-fidelity, default), bilinear "
        "(pytorch-fid) or clean (clean-fid)")  # fmt: skip
    add(
        "--control",
        type=int,
        default=200,
        metavar="N",
        help="pictures read for control (default 200; 0: none)",
    )
    add("--people", type=int, default=8, metavar="N", help="people swept through commands (default 8; 0: none)")
    add("--reader", default="landmarks", choices=("landmarks", "network"), help="of expressions: MediaPipe and a "
        "fit (default), or the network of Eq. 9: R-Net for BFM")  # fmt: skip
    add(
        "--truth",
        type=Path,
        metavar="DIR",
        help="truth files of the real pictures: the reader's error on renders; labels: their labels are exact",
    )
    add("--no-initial", action="store_true", help="do not hold the run against its own initialisation")
    add("--body", metavar="FILE", help="body model of the weights (default: known by its hash)")
    add("--face", metavar="FILE", help="face model of the labels (default: the shipped one)")
    add(
        "--workers",
        default="auto",
        metavar="N",
        help="processes, shared out over all GPUs; no number depends on it (default: one a core, or one a GPU)",
    )
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add_config_argument(parser)


def _load() -> Run:
    from pipelines.commands.generator.evaluate import run

    return run


VERB = Verb("evaluate", "how good a generator is, and does it obey?", _arguments, _load, _EXAMPLES)
