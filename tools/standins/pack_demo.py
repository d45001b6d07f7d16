"""Pack a trained generator into the package: `python -m tools.standins.pack_demo RUN2 --stage1 RUN1 --data OUT`.

The weights of RUN2, every so many label rows of OUT, and the basis of RUN1's appearance codes go into one file
(gan.data.company). What it was trained on and how is told by gan/shipped/data/README.md.
"""

import argparse
from pathlib import Path

import numpy as np

from gan.checkpoint import load_into, read_checkpoint, save_checkpoint
from gan.data.company import company_of
from gan.data.shards import ShardDataset
from gan.errors import CheckpointError
from gan.generator_files import open_generator
from gan.shipped import DEMO_FILE
from gan.training.appearance import read_appearance
from gan.training.checkpoints import GENERATOR_FILE
from gan.training.setup import APPEARANCE_FILE

ROWS = 600  # of labels: people and motions enough to draw from, in 430 KB


def pack(run: Path, stage1: Path, data: Path, to: Path) -> None:
    """Write `to`; raises CheckpointError where a run lacks what is needed."""
    checkpoint, appearance = read_checkpoint(run / GENERATOR_FILE), read_appearance(stage1 / APPEARANCE_FILE)
    if checkpoint.bases is None or appearance is None:
        raise CheckpointError(f"{run} and {stage1} are no runs of the presets demo-stage2 and demo")
    dataset = ShardDataset([data], "train", 64, 64)
    chosen = np.linspace(0, len(dataset) - 1, min(ROWS, len(dataset))).astype(int)
    generator = open_generator(checkpoint, [dataset.bases], None, None)
    load_into(generator, checkpoint)
    save_checkpoint(to, generator, checkpoint.bases, company_of(dataset.labels.take(chosen), appearance.basis))


def main() -> None:
    """Read the command line and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN2", help="run of the preset demo-stage2 (or demo)")
    parser.add_argument("--stage1", type=Path, required=True, metavar="RUN1", help="run of the preset demo")
    parser.add_argument("--data", type=Path, required=True, metavar="OUT", help="the data set they were trained on")
    parser.add_argument("--to", type=Path, default=DEMO_FILE, metavar="FILE")
    options = parser.parse_args()
    pack(options.run, options.stage1, options.data, options.to)
    print(f"{options.to}: {options.to.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
