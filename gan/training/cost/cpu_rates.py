"""How fast one core of a CPU trains, as measured: `python -m tools.gpu_check --device cpu --preset NAME`."""

from __future__ import annotations

MACHINE = "one thread of a 2.x GHz Xeon with AVX-512"


# Pictures a second of processor time after a paired start, and their products in TFLOP as counted for a GPU.
MEASURED: dict[str, tuple[float, float]] = {
    "tiny": (4.2, 0.00415),
    "demo": (1.0, 0.0545),
}


def one_core_rate(preset: str, tflop_of_picture: float) -> tuple[float, str]:
    """Return pictures a second, and where the number is from: of presets that were not tried, by their products."""
    if preset in MEASURED:
        return MEASURED[preset][0], "measured"
    rate, tflop = MEASURED["demo"]
    return rate * tflop / tflop_of_picture, "from `demo` by products"
