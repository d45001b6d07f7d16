"""What `shhq-hs animate` is asked for: the choices, and which of them go together."""

import dataclasses
from pathlib import Path

import torch

from dataprep.errors import ConfigError
from gan.animation.keyframes import OPTIONS
from gan.rendering.generator import View

VIEWS: tuple[View, ...] = ("portrait", "face")
KINDS = ("mp4", "gif", "png", "depth", "mesh")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclasses.dataclass(frozen=True)
class Animation:
    """What to render. Without a track or key frames every seed draws its own motion; None leaves a choice to us."""

    out: Path
    checkpoint: Path | None = None
    seeds: tuple[int, ...] = (0,)
    labels: Path | None = None
    priors: Path | None = None
    track: Path | None = None
    source: Path | None = None
    keyframes: Path | None = None
    exp_path: Path | None = None
    pose_path: Path | None = None
    cam_path: Path | None = None
    frames: int | None = None
    interpolate: bool = False
    n_interval: int | None = None
    orbit: bool = False
    psi: float = 0.7
    preview: bool = False
    kinds: tuple[str, ...] = ("mp4", "png")
    views: tuple[str, ...] = VIEWS
    fps: float | None = None  # the track's, else that of `gan.animation.animate_motion`
    body: str | None = None
    nearest: Path | None = None
    precision: str = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        for option, given, known in (("kinds", self.kinds, KINDS), ("views", self.views, VIEWS)):
            if not given or not set(given) <= set(known):
                raise ConfigError(f"--{option} {','.join(given)}: expected one or more of {','.join(known)}")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"--seeds {','.join(map(str, self.seeds))}: expected different numbers from 0 on")
        for option, value, fits, expected in (
            ("psi", self.psi, 0 <= self.psi <= 1, "a number from 0 (the mean person) to 1 (no truncation)"),
            *(
                (option, value, value is None or value >= 1, "a whole number from 1 on")
                for option, value in (("frames", self.frames), ("n-interval", self.n_interval))
            ),
            ("fps", self.fps, self.fps is None or 0 < self.fps <= 240, "frames a second, above 0 and at most 240"),
            ("precision", self.precision, self.precision in PRECISIONS, " or ".join(PRECISIONS)),
        ):
            if not fits:
                raise ConfigError(f"--{option} {value}: expected {expected}")
        self._require_one_motion()

    def _require_one_motion(self) -> None:
        singly = [OPTIONS[part] for part in self.single_files]
        moving = [*["--track"] * bool(self.track), *["--keyframes"] * bool(self.keyframes), *singly[:1]]
        if len(moving) > 1:
            raise ConfigError(f"{' and '.join(moving)}: expected one of them, both say what moves")
        if self.labels and self.priors:
            raise ConfigError("--labels and --priors: expected one of them, both say whom to draw")
        if self.source and not self.track:
            raise ConfigError("--source: the video of a track; give the track too: --track FILE")
        if self.n_interval and not moving:
            raise ConfigError(
                f"--n-interval {self.n_interval}: frames from one key frame to the next; give these too, by "
                f"--keyframes DIR or {', '.join(OPTIONS.values())}"
            )
        if self.n_interval and self.interpolate:
            raise ConfigError(
                "--n-interval and --interpolate: expected one of them; --interpolate ends at the last key frame and "
                "turns joints along the shortest rotation, --n-interval closes as the authors' program does"
            )

    @property
    def single_files(self) -> dict[str, Path]:
        """Key frames of one part each, by the names of `gan.animation.tracks.SHAPES`."""
        given = {"expression": self.exp_path, "pose": self.pose_path, "camera": self.cam_path}
        return {part: path for part, path in given.items() if path is not None}

    @property
    def fills_in(self) -> bool:
        """Whether frames are made between key frames."""
        return self.interpolate or self.n_interval is not None
