"""`shhq-hs assets`: the known model files as a table."""

from __future__ import annotations

from dataprep.extras import set_up_command
from dataprep.models.known_models import assets_folder, known_assets, state_of
from pipelines.text_table import table


def print_assets() -> int:
    """List every known file; returns 1 when a free-tier file is missing or corrupt, since nothing runs without it."""
    assets = [(asset, state_of(asset)) for asset in known_assets()]
    for tier, title in (("free", "Free tier: there after set-up"), ("user", "Yours to supply, all optional")):
        rows = [(a.filename, s, a.enables, a.licence, a.source) for a, s in assets if a.tier == tier]
        print(title + "\n" + table(("file", "state", "enables", "licence", "where from"), rows) + "\n")
    print(f"Put your own files into {assets_folder()} (or set SHHQ_HS_ASSETS).")
    broken = [asset.filename for asset, state in assets if asset.tier == "free" and state != "found"]
    if broken:
        print(f"Broken set-up: {', '.join(broken)}; run: {set_up_command()}")
    return 1 if broken else 0
