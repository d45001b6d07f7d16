"""Pack a trained generator into the package: `python -m tools.standins.pack_demo RUN1 RUN2 --data OUT`.

Everything but U comes from RUN1 (preset demo), U from RUN2 (demo-stage2), every so many label rows from OUT. Pictures
are made without U, with twice the rays of training: phi knows more at any size than U has learnt in as little time.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from gan.checkpoint import read_checkpoint, save_checkpoint
from gan.data.company import company_of
from gan.data.shards import ShardDataset
from gan.errors import CheckpointError
from gan.generator_files import open_generator
from gan.shipped import DEMO_FILE
from gan.training.checkpoints import GENERATOR_FILE
from gan.training.setup import APPEARANCE_FILE
from gan.training.warm_start.appearance import read_appearance

ROWS = 600  # of labels: people and motions enough to draw from, in 430 KB
SIDE_PX, MAP_SIDE, FINE_SAMPLES = 128, 192, 96  # of what `animate` shows: twice what training sees


def pack(stage1: Path, stage2: Path, data: Path, to: Path) -> None:
    """Write `to`; raises CheckpointError where a run lacks what is needed."""
    checkpoint, appearance = read_checkpoint(stage1 / GENERATOR_FILE), read_appearance(stage1 / APPEARANCE_FILE)
    if checkpoint.bases is None or appearance is None:
        raise CheckpointError(f"{stage1} is no run of the preset demo")
    superres = read_checkpoint(stage2 / GENERATOR_FILE).state
    state = dict(checkpoint.state) | {name: superres[name] for name in superres if name.startswith("sr_net.")}
    dataset = ShardDataset([data], "train", 64, 64)
    chosen = np.linspace(0, len(dataset) - 1, min(ROWS, len(dataset))).astype(int)
    shown = dataclasses.replace(
        checkpoint.config, image_size=SIDE_PX, ray_size=SIDE_PX, map_size=MAP_SIDE, fine_samples=FINE_SAMPLES
    )
    generator = open_generator(dataclasses.replace(checkpoint, state=state, config=shown), [dataset.bases], None, None)
    save_checkpoint(to, generator, checkpoint.bases, company_of(dataset.labels.take(chosen), appearance.basis))


def main() -> None:
    """Read the command line and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage1", type=Path, metavar="RUN1", help="run of the preset demo")
    parser.add_argument("stage2", type=Path, metavar="RUN2", help="run of the preset demo-stage2")
    parser.add_argument("--data", type=Path, required=True, metavar="OUT", help="the data set they were trained on")
    parser.add_argument("--to", type=Path, default=DEMO_FILE, metavar="FILE")
    options = parser.parse_args()
    pack(options.stage1, options.stage2, options.data, options.to)
    print(f"{options.to}: {options.to.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
