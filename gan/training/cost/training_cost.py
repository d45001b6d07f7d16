"""What a preset will cost: pictures, steps, bytes, products, and hours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from gan.presets import Preset
from gan.rendering.body_arrays import BodyArrays
from gan.training.cost.gpu_check import GpuCheck, TrainingRate, training_rates
from gan.training.cost.named_gpus import MODES, Mode, NamedGpu, gpu_named, seconds_on
from gan.training.cost.picture_work import POINTS, PictureWork, Work, tflop


@dataclass(frozen=True, eq=False)
class TrainingCost:
    """A preset's cost. `paired` is the work of a picture of the paired start, empty without one."""

    preset: Preset
    work: Work
    paired: Work
    state_bytes: int
    generator_bytes: int

    @property
    def paired_images(self) -> int:
        return min(self.preset.paired.images, self.preset.images)

    @property
    def steps(self) -> int:
        return -(-self.preset.images // self.preset.batch)

    @property
    def tflop(self) -> float:
        """Products of the whole training."""
        return self._of_all(tflop(self.paired), tflop(self.work))

    def shares(self) -> dict[str, float]:
        """Return every network's part of the products, over the whole training."""
        parts = {
            name: self._of_all(*(tflop({name: work.get(name, [])}) for work in (self.paired, self.work)))
            for name in (self.work | self.paired)
        }
        return {name: part / self.tflop for name, part in sorted(parts.items(), key=lambda one: -one[1])}

    def hours_on(self, gpu: NamedGpu, mode: Mode) -> float:
        """Return what counted work takes at the assumed share of a GPU's datasheet."""
        return self._of_all(*(picture_seconds(work, gpu, mode) for work in (self.paired, self.work))) / 3600

    def hours_at(self, images_per_second: float) -> float:
        """Return what the training takes at a rate of pictures after a paired start, whose own cost less."""
        part = tflop(self.paired) / tflop(self.work)
        return self._of_all(part, 1.0) / images_per_second / 3600

    def _of_all(self, paired: float, trained: float) -> float:
        return self.paired_images * paired + (self.preset.images - self.paired_images) * trained


def cost_of(preset: Preset, body: BodyArrays) -> TrainingCost:
    """Count what a preset asks for, without doing any of it."""
    counted = PictureWork(preset, body)
    generator, critics = _bytes(counted.generator.state_dict().values()), _bytes(counted.critics.parameters())
    trained = _bytes(p for p in counted.generator.parameters() if p.requires_grad)
    return TrainingCost(
        preset,
        counted.trained(),
        counted.paired() if preset.paired.images else {},
        2 * generator + critics + 2 * (trained + critics),  # the average, and Adam's two numbers for each
        generator,
    )


def picture_seconds(work: Work, gpu: NamedGpu, mode: Mode) -> float:
    """Return the seconds of one picture."""
    arithmetic = {part: mode.points if part in POINTS else mode.pictures for part in work}
    return sum((seconds_on(gpu, operations, arithmetic[part]) for part, operations in work.items()), 0.0)


def measured_hours(cost: TrainingCost, preset_name: str, found: GpuCheck) -> Iterator[tuple[TrainingRate, float]]:
    """Yield the rates that a check found for a preset, with the hours that they mean on that machine."""
    for rate in training_rates(found):
        if rate.preset == preset_name:
            yield rate, cost.hours_at(rate.images_per_second)


def reached(cost: TrainingCost, preset_name: str, found: GpuCheck) -> float | None:
    """Return how much slower (above 1) than assumed a checked GPU is; None where that cannot be said.

    The best rate found is compared with the quickest arithmetic, of a GPU that has a row in the table.
    """
    gpu = gpu_named(found.device)
    rates = [rate.images_per_second for rate, _ in measured_hours(cost, preset_name, found)]
    if gpu is None or not rates:
        return None
    return 1 / max(rates) / min(picture_seconds(cost.work, gpu, mode) for mode in MODES)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
