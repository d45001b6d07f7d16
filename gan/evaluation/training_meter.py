"""Distances of a generator in training, checkpoint by checkpoint: always of the same codes against the same pictures.

The numbers are those of `shhq-hs evaluate` with as many pictures and the same seed. Where several processes train, each
renders its part of the pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from gan.data.priors import LabelPrior
from gan.data.shards import ShardDataset
from gan.evaluation.distances import frechet_distance, kernel_distance
from gan.evaluation.fakes import Fakes, Sizes
from gan.evaluation.feature_networks import FeatureNetwork, NetworkSpec
from gan.evaluation.jobs import VIEWS, RealJob, features_of
from gan.evaluation.reals import RealSet, choose_reals
from gan.evaluation.result_chunks import Arrays, ResultChunks, spans
from gan.presets import Preset
from gan.rendering.generator import Generator
from gan.training.execution import Execution

PREFIXES = ("", "second/")  # of the names of an average's numbers
Stops = Callable[[], bool]  # asked before every few pictures


@dataclass(frozen=True)
class TrainingMeter:
    """Compares `count` generated pictures of either view with at most `real_count` of the split 'train'."""

    roots: tuple[Path, ...]
    preset: Preset
    seed: int
    count: int
    real_count: int
    networks: tuple[NetworkSpec, ...]
    cache: Path  # of the real pictures' features
    _open: dict[str, list[FeatureNetwork]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, generators: Sequence[Generator], execution: Execution, stops: Stops) -> dict[str, float] | None:
        """Return numbers by 'metric/view', those of a second average by 'second/metric/view'; None after a stop."""
        real = self._real_features(execution, stops)
        numbers = {"pictures": float(self.count), "real_pictures": float(len(self._reals))}
        for prefix, generator in zip(PREFIXES, generators, strict=False):
            fake = real and self._fake_features(generator, execution, stops)
            if not real or not fake:
                return None
            numbers |= {f"{prefix}{name}": value for name, value in self._distances(real, fake).items()}
        return numbers

    @cached_property
    def _sizes(self) -> Sizes:
        return Sizes(self.preset.portrait_px, self.preset.face_px, self.preset.stage == 2)

    @cached_property
    def _dataset(self) -> ShardDataset:
        return RealSet(self.roots, "train", (), "").open(self._sizes)

    @cached_property
    def _reals(self) -> RealSet:
        wanted = self.real_count if self.real_count < len(self._dataset) else None
        return choose_reals(self._dataset, self.roots, "train", wanted, self.seed)

    def _networks_on(self, execution: Execution) -> list[FeatureNetwork]:
        device = execution.device
        if device not in self._open:
            self._open[device] = [spec.open(device) for spec in self.networks]
        return self._open[device]

    def _real_features(self, execution: Execution, stops: Stops) -> Arrays | None:
        """Compute them, or read what this machine computed before for the same pictures and networks."""
        networks = self._networks_on(execution)
        chunks = ResultChunks(self.cache, RealJob(self._reals, self._sizes, self.networks, execution.device))

        def run(span: range) -> Arrays:
            if not chunks.path(span).is_file():
                chunks.write(span, features_of(self._reals.pictures(self._dataset, span), networks))
            return chunks.read_span(span)

        return _shared(len(self._reals), run, execution, stops)

    def _fake_features(self, generator: Generator, execution: Execution, stops: Stops) -> Arrays | None:
        networks = self._networks_on(execution)
        prior = LabelPrior(self._dataset.labels.take(list(self._reals.rows)), self.seed)
        fakes = Fakes(generator, prior, self._sizes)
        return _shared(
            self.count, lambda span: features_of(fakes.render(fakes.codes(span)), networks), execution, stops
        )

    def _distances(self, real: Arrays, fake: Arrays) -> dict[str, float]:
        """Return Fréchet distances, and with Inception's features the kernel distance, which is KID."""
        numbers = {}
        for spec in self.networks:
            for view in VIEWS:
                a, b = (arrays[f"{spec.frechet_name}/{view}"] for arrays in (real, fake))
                numbers[f"{spec.frechet_name}/{view}"] = frechet_distance(a, b)
                if spec.inception is not None:
                    numbers[f"{spec.kernel_name}/{view}"] = 100 * kernel_distance(a, b, self.seed).mean
        return numbers


def _shared(total: int, run: Callable[[range], Arrays], execution: Execution, stops: Stops) -> Arrays | None:
    """Return the arrays of all indices below `total`, computed by all ranks in turns; None after a stop."""
    ranks, every = execution.ranks, spans(total)
    own: dict[int, Arrays] = {}
    for first in range(0, len(every), ranks.world):
        if stops():
            return None
        if first + ranks.rank < len(every):
            span = every[first + ranks.rank]
            own[span.start] = run(span)
    found = {start: arrays for part in ranks.gathered(own) for start, arrays in part.items()}
    parts = [found[span.start] for span in every]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
