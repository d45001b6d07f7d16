"""`shhq-hs view`: serve the viewer until it is stopped."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location
from dataprep.wording import plural
from pipelines.viewer.view_server import serve
from pipelines.viewer.viewed_dataset import ViewedDataset

_LONGEST_NAME = 80


def view(out: Location, port: int | None, who: str, against: Location | None = None) -> int:
    """Print the address and answer until Ctrl-C; raises StoreError without a manifest, ConfigError on a taken port."""
    if port is not None and not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: expected 0 to 65535; leave it out, and a free one is found")
    if isinstance(out, Path) and out.is_file():
        raise ConfigError(f"{out} is a file; give the folder of the data set: shhq-hs view {out.parent}")
    dataset = ViewedDataset(out, _name(who), against)

    def ready(address: str) -> None:
        rows = f"{len(dataset):,} {plural(len(dataset), 'row')}"
        print(f"{rows} of {printable(str(out))}; open this address, which is a secret of yours:")
        print(f"{address}\nCtrl-C ends it; marks are saved as they are made", flush=True)

    try:
        asyncio.run(serve(dataset, port, ready))
    except KeyboardInterrupt:
        print("\nstopped")
    return 0


def _name(who: str) -> str:
    name = who.strip() or getpass.getuser()
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"--who {name[:40]!r}: expected a name of at most {_LONGEST_NAME} printable characters")
    return name
