"""How fast one core of a CPU trains, as measured: `python -m tools.gpu_check --device cpu --only --preset NAME`."""

from __future__ import annotations

MACHINE = "processor time of one thread of an AMD EPYC"

# Pictures a second after a paired start, in float32, two at a time.
MEASURED = {"tiny": 7.7, "tiny-stage2": 3.5, "demo": 1.06, "demo-stage2": 0.71}
DEMO_TFLOP = 0.0598  # of one of its pictures, as `picture_work` counts


def one_core_rate(preset: str, tflop_of_picture: float) -> tuple[float, str]:
    """Return pictures a second, and where the number is from: of presets that were not tried, by their products."""
    if preset in MEASURED:
        return MEASURED[preset], "measured"
    return MEASURED["demo"] * DEMO_TFLOP / tflop_of_picture, "from `demo` by products"
