"""What a run says of itself, sent to Weights & Biases as well: only where that is installed and asked for.

Steps are images seen. A run that goes on is the same run there; what a killed one had sent after its last checkpoint
comes a second time with the same numbers, and the service keeps the first. `WANDB_MODE=offline` keeps all below RUN.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from dataprep.errors import ConfigError
from dataprep.extras import install_command
from dataprep.tables.store import atomic_file
from gan.presets import Preset, flat
from gan.training.setup import Run
from gan.training.watchers import Watcher

ID_FILE = "wandb-id.txt"
PROJECT = "shhq-hs"


class WandbWatcher(Watcher):
    """Sends losses, measurements and snapshots; `close` waits until all is sent."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._module: Any = None
        self._run: Any = None

    def begins(self, run: Run) -> None:
        """Open the run there; ConfigError where the service does not let in."""
        self._module, self._run = open_wandb(self._out, run.state.key.preset)

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        self._send(images_seen, "loss", losses)

    def did_measure(self, images_seen: int, metrics: dict[str, float]) -> None:
        self._send(images_seen, "metric", metrics)

    def did_snapshots(self, images_seen: int, pngs: Mapping[str, bytes]) -> None:
        pictures = {name: self._module.Image(Image.open(io.BytesIO(png))) for name, png in pngs.items()}
        self._send(images_seen, "snapshot", pictures)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()

    def _send(self, images_seen: int, kind: str, values: Mapping[str, Any]) -> None:
        self._run.log({f"{kind}/{name}": value for name, value in values.items()}, step=images_seen)


def open_wandb(out: Path, preset: Preset) -> tuple[Any, Any]:
    """Return the package and the run of `out` there, which is begun or gone on with."""
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(f"--log wandb: the package is not there ({error}): {install_command('wandb')}") from error
    try:
        run = wandb.init(
            project=PROJECT,
            name=out.name,
            id=_id_of(out, wandb.util.generate_id),
            resume="allow",
            dir=str(out),
            config={name: value for name, value, _ in flat(preset)},
            settings=wandb.Settings(quiet=True, console="off"),
        )
    except wandb.Error as error:
        raise ConfigError(
            f"--log wandb: {error}. Log in with `wandb login`, or keep it on this machine: WANDB_MODE=offline"
        ) from error
    return wandb, run


def _id_of(out: Path, fresh: Callable[[], str]) -> str:
    """Return the run's name at the service, which it keeps."""
    path = out / ID_FILE
    if path.is_file() and (known := path.read_text().strip()):
        return known
    name = fresh()
    with atomic_file(path) as file:
        file.write(f"{name}\n".encode())
    return name
