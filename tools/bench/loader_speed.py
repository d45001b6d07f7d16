"""Measure the loader: `python -m tools.bench.loader_speed OUT`. CPU seconds of this process alone.

What a GPU waits for is decoding and resizing, which loader workers share; finding and reading samples, and drawing
their order, must cost next to nothing beside it.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from gan.data.mirror import Mirror
from gan.data.priors import LabelPrior, Purpose
from gan.data.sampler import PositionSampler
from gan.data.shards import ShardDataset
from gan.data.stream import real_batches

_REPEATS = 3  # the best of them counts


def measure(roots: Sequence[Path], samples: int) -> dict[str, float]:
    """Return samples a CPU second of each part of the loader."""
    dataset = ShardDataset(roots)
    rows = [draw.row for draw in islice(PositionSampler(len(dataset), seed=0), samples)]
    few = max(1, samples // 50)  # decoding takes its time
    prior = LabelPrior(dataset.labels, seed=0)

    def read_all() -> None:
        for row in rows:
            dataset.read(row, "portrait")
            dataset.read(row, "face")

    def sizes(portrait_px: int, face_px: int) -> Callable[[], object]:
        data = ShardDataset(roots, portrait_px=portrait_px, face_px=face_px)
        mirror = Mirror(None, None, None)
        return lambda: list(islice(real_batches(data, 0, 0, batch=4, mirror=mirror), few // 4 + 1))

    return {
        "order": _rate(lambda: list(islice(PositionSampler(10**6, seed=0), samples)), samples),
        "read portrait and face, not decoded": _rate(read_all, samples),
        "codes from the label prior": _rate(lambda: prior.draw(range(samples), Purpose.GENERATOR), samples),
        "batches of 128 px, decoded and resized": _rate(sizes(128, 128), 4 * (few // 4 + 1)),
        "batches of 512 and 256 px, decoded": _rate(sizes(512, 256), 4 * (few // 4 + 1)),
    }


def _rate(work: Callable[[], object], samples: int) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return samples / best


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.loader_speed", description="Measure the loader.")
    parser.add_argument("roots", nargs="+", type=Path, metavar="OUT", help="folders of data sets")
    parser.add_argument("--samples", type=int, default=5000, help="samples to draw and read (default 5000)")
    given = parser.parse_args(arguments)
    for name, rate in measure(given.roots, given.samples).items():
        print(f"{name:<42} {rate:>12,.0f} samples / CPU s")


if __name__ == "__main__":
    main()
