"""`shhq-hs export`: images and labels as plain files, in layouts that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out_folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out_folder(parser)
    add = parser.add_argument
    add("--out", dest="target", type=Path, required=True, metavar="DIR", help="new folder")
    add("--layout", default="eg3d", help="eg3d (default), gghead, cgs-gan, nerf, gagavatar, plain, coco or fiftyone")
    add("--split", default="train", help="train (default), val or all")
    add("--camera", default="", help="eg3d (default): at 2.7 units, for its rays from 2.25 to 3.3; ours: at 1.895")
    add("--mirror", action="store_true", help="also the mirrored pictures, with mirrored labels (eg3d, gghead)")
    add(
        "--flame",
        type=Path,
        metavar="FILE",
        help="generic_model.pkl of FLAME, which is fitted (nerf, gagavatar)",
    )
    add("--flame-landmarks", type=Path, metavar="FILE", help="landmark_embedding.npy, beside --flame")


def _load() -> Run:
    from pipelines.commands.export import export
    from pipelines.commands.layouts.layout_base import Choices

    def run(options: argparse.Namespace) -> int:
        choices = Choices(options.camera, options.mirror, options.flame, options.flame_landmarks)
        return export(options.out, options.target, options.layout, options.split, choices)

    return run


VERB = Verb(
    "export",
    "images and labels as trainers, COCO and FiftyOne load them, or as PNG and CSV",
    _arguments,
    _load,
)
