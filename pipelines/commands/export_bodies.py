"""`shhq-hs export-eft`: body fits as JSON in the layout of EFT's published files."""

from __future__ import annotations

from pathlib import Path

from dataprep.exchange.eft_json import export_eft


def export_bodies(out: Path, output: Path, every: bool) -> int:
    """Write the fits, with `every` also those that EFT's own exporter would leave out; returns 0."""
    written, left_out = export_eft(out, output, every)
    print(f"{output}: {written} fits; {left_out} left out (49-joint loss above 5e-4 or a beta beyond 3)")
    return 0
