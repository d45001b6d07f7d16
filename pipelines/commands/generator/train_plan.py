"""`shhq-hs train --plan`: what a training will cost, as text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.locations import Location
from dataprep.models.body.body_files import STANDIN, open_body
from gan.data.shards import ShardDataset
from gan.presets import PRESETS, Preset
from gan.rendering.body_arrays import body_arrays
from gan.training.cost.cpu_rates import MACHINE, one_core_rate
from gan.training.cost.gpu_check import DEFAULT_FILE, GpuCheck, read_check
from gan.training.cost.named_gpus import GPUS, MODES, SHARE_OF_BANDWIDTH, SHARE_OF_PRODUCTS
from gan.training.cost.picture_work import tflop
from gan.training.cost.training_cost import TrainingCost, cost_of, measured_hours, reached
from pipelines.text_table import table

SAMPLE_BYTES = 400_000  # portrait and face of a photograph, as PNG at 512 and 256 px, without --data [assumed]


def plan_text(options: argparse.Namespace, base: str, chosen: Preset) -> str:
    """Return what `--plan` prints; ConfigError without a GPU to plan for, or on a check that cannot be read."""
    if options.plan < 1:
        raise ConfigError(f"--plan {options.plan}: expected a number of GPUs of at least 1")
    name = base if _same_work(chosen, PRESETS[base]) else f"{base}, changed"
    cost = cost_of(chosen, body_arrays(open_body(options.body or STANDIN)))
    found = _check(options.gpu_check)
    return "\n".join(
        [
            f"{name}, before anything is done:",
            *_quantities(cost, options.data, options.keep),
            "",
            *_arithmetic(cost, name, found, options.plan),
            "",
            *_measured(cost, name, found),
            _on_a_cpu(cost, name),
        ]
    )


def _same_work(chosen: Preset, named: Preset) -> bool:
    """Say whether a picture costs what one of the named preset does: what was measured of that holds."""
    return replace(chosen, images=named.images, batch=named.batch, paired=named.paired) == named


def _check(given: Path | None) -> GpuCheck | None:
    """Return what --gpu-check names, else what lies in the default place."""
    if given is None and not DEFAULT_FILE.is_file():
        return None
    return read_check(given or DEFAULT_FILE)


def _quantities(cost: TrainingCost, data: Sequence[Location] | None, keep: int) -> Iterator[str]:
    preset = cost.preset
    paired = f", {cost.paired_images:,} of them in a paired start" if cost.paired_images else ""
    yield f"  pictures     {preset.images:,} in {cost.steps:,} steps of {preset.batch}{paired}"
    if data:
        dataset = ShardDataset(data)
        each, said = dataset.picture_bytes / len(dataset), f"of {len(dataset):,} in {', '.join(map(str, data))}"
    else:
        each, said = SAMPLE_BYTES, "assumed: --data OUT looks"
    yield f"  read         {_size(each * preset.images)}: {_size(each)} a picture ({said})"
    checkpoint = cost.state_bytes + cost.generator_bytes
    yield f"  checkpoints  {_size(checkpoint)} each, {_size(keep * checkpoint)} for the {keep} that stay (--keep)"
    alone = f", {tflop(cost.paired):.2g} in the paired start" if cost.paired_images else ""
    yield f"  products     {cost.tflop:,.3g} TFLOP: {tflop(cost.work):.3g} a picture{alone}"
    yield "               " + ", ".join(f"{name} {share:.0%}" for name, share in cost.shares().items())


def _arithmetic(cost: TrainingCost, name: str, found: GpuCheck | None, gpus: int) -> Iterator[str]:
    factor = reached(cost, name, found) if found else None
    rows = [
        (gpu.name, f"{gpu.memory_gb} GB", *(_hours(cost.hours_on(gpu, mode) * (factor or 1), gpus) for mode in MODES))
        for gpu in GPUS
    ]
    yield table(("GPU", "memory", *(f"{mode.name}: 1, {gpus} GPUs" for mode in MODES)), rows)
    yield (f"  Arithmetic, not measured: {SHARE_OF_PRODUCTS:.0%} of the datasheet's products and "
           f"{SHARE_OF_BANDWIDTH:.0%} of its bandwidth are assumed.")  # fmt: skip
    if factor and found:
        yield f"  All multiplied by {factor:.2f}: how far {found.device} was from that in the check."
    yield "  float32 and TF32 are of all products; bfloat16 of critics and U alone. Several GPUs: time spent on"
    yield "  adding up gradients, on loading and on snapshots is left out. Whether a micro-batch fits is not said here."


def _measured(cost: TrainingCost, name: str, found: GpuCheck | None) -> Iterator[str]:
    if found is None:
        yield f"  No GPU was measured: `make check-gpu` on the machine in question writes {DEFAULT_FILE}."
        return
    rates = list(measured_hours(cost, name, found))
    for rate, hours in rates:
        yield (f"  measured on {found.device}, {rate.precision}, micro-batch {rate.micro}: "
               f"{rate.images_per_second:.3g} pictures a second, {_short(hours)}")  # fmt: skip
    if not rates:
        yield f"  The check of {found.device} says nothing about {name}."


def _on_a_cpu(cost: TrainingCost, name: str) -> str:
    rate, said = one_core_rate(name, tflop(cost.work))
    return f"  one core of a CPU: {rate:.3g} pictures a second, {_short(cost.hours_at(rate))} ({said}; {MACHINE})"


def _hours(hours: float, gpus: int) -> str:
    return f"{_short(hours)}, {_short(hours / gpus)}"


def _short(hours: float) -> str:
    if hours >= 72:
        return f"{hours / 24:,.0f} d"
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
