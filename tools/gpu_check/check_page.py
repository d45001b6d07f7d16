"""The page: what was found, to be read by people (Markdown, which is legible as it is)."""

from __future__ import annotations

from gan.training.cost.gpu_check import CheckResult, GpuCheck, Number

_MEANINGS = {
    "products": "square matrix products, TFLOP/s",
    "nearest": "nearest vertices, against a KD-tree in float64",
    "parity": "recorded arrays of the released code",
    "gradients": "gradients of both stages, against float64 on the CPU",
    "r1": "R1 of both stages' critics under autocast, against float32",
    "stage1": "a training step, everything but U",
    "stage2": "a training step, U",
    "frame": "a new identity and a frame of it",
    "superres": "enlarging, against float32 on the CPU",
    "hmr": "random weights of HMR's shape",
    "rnet": "random weights of R-Net's shape",
    "inception": "random weights of Inception's shape",
}


def page(found: GpuCheck) -> str:
    """Return all of a check as Markdown."""
    failed = ", ".join(check.name for check in found.failed)
    lines = [
        f"# GPU check: {found.device}",
        "",
        f"**Failed: {failed}.**" if failed else "Nothing failed.",
        "",
        *_pairs(found.machine | found.settings),
        "",
        "| check | what | result | seconds | peak GB |",
        "|---|---|---|---|---|",
        *(_row(check) for check in found.checks),
    ]
    for check in found.checks:
        if check.numbers or check.reason:
            lines += [
                "",
                f"## {check.name}",
                "",
                *([f"{check.status}: {_cell(check.reason)}", ""] * bool(check.reason)),
            ]
            lines += _pairs(check.numbers)
    return "\n".join(lines).rstrip() + "\n"


def _row(check: CheckResult) -> str:
    what = _MEANINGS.get(check.name, "")
    return f"| {check.name} | {what} | {check.status} | {check.seconds:.1f} | {check.peak_gb:.2f} |"


def _pairs(numbers: dict[str, Number]) -> list[str]:
    return [f"- {name.replace('_', ' ')}: {shown(value)}" for name, value in numbers.items()]


def shown(value: Number) -> str:
    """Return a number in four digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else _cell(str(value))


def _cell(text: str) -> str:
    """Keep what a machine says from being read as Markdown."""
    return text.replace("\n", " ").replace("|", "/").replace("<", "‹").replace("`", "'")
