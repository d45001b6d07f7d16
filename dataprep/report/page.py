"""The page from its numbers and pictures."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dataprep.report.numbers import Numbers

_TEMPLATES = Path(__file__).parent / "templates"


def render(numbers: Numbers) -> str:
    """One self-contained HTML document."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(n=numbers)
