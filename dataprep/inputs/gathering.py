"""What a data set is to be made of, beside the folder: parameters of what comes before the first stage.

They are in no stage's fingerprint. They decide which inputs there are; what a stage makes of an input depends on the
input alone, so that another rate of frames computes only the frames that are new.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import ClassVar

from dataprep.settings import number, setting
from dataprep.stages.base import Step

LIST_SUFFIXES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Clips(Step):
    """Takes frames out of the videos below SOURCE: the sharpest one of each interval, unless it shows nothing new."""

    name: ClassVar[str] = "clips"
    version: ClassVar[int] = 1

    frames_per_s: float = number(2.0, 0.001, 240, "at most so many frames a second of a video, the sharpest of each")
    min_sharpness: float = number(
        0.2, 0, 1, "a frame is left out below this: 1 - perceptual blur (Crete et al. 2007) of the whole frame"
    )
    min_difference: float = number(
        0.004, 0, 1, "a frame is left out when its grey levels, at 64 x 64 px, differ by less from those of the frame "
        "before it that was kept; mean difference over the range"
    )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """16 hex digits over version and parameters: frames that were taken otherwise lie elsewhere."""
        content = json.dumps([self.version, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Fetch(Step):
    """Downloads what a list names by URL, once, to OUT/inputs/fetched."""

    name: ClassVar[str] = "fetch"
    version: ClassVar[int] = 1

    most_mib: float = number(64.0, 0.001, 1024, "a file that is larger is not downloaded; MiB")
    tries: int = number(4, 1, 20, "how often a server is asked that does not answer, or says that it is busy")
    first_pause_s: float = number(1.0, 0, 600, "pause before the second try, doubled before each one after; s")
    timeout_s: float = number(30.0, 0.1, 3600, "longest silence of a server; s")
    at_once: int = number(16, 1, 256, "downloads at the same time")
    private_addresses: bool = setting(
        False, "also download from addresses that are not public: this machine, the local network, link-local ones"
    )


@dataclass(frozen=True)
class Gathering:
    """Which inputs below a source folder are wanted, and how they are taken.

    Attributes:
        given: Name of the one video in the folder, or path of the list whose paths begin there; None: everything.
        clips: How frames are taken out of videos.
        fetch: How URLs are downloaded.
        limit: At most so many inputs, drawn by their names; None: all.
        sample: The part of the inputs that is drawn, by their names; None: all.

    """

    given: str | None = None
    clips: Clips = Clips()
    fetch: Fetch = Fetch()
    limit: int | None = None
    sample: float | None = None

    @property
    def is_partial(self) -> bool:
        """Whether inputs are left out for a first look."""
        return self.limit is not None or self.sample is not None


def draw(path: str) -> float:
    """Return a number in [0, 1) for an input, from its path alone: what is drawn by 1% is among what 10% draws."""
    return int(hashlib.sha256(f"first look:{path}".encode()).hexdigest()[:13], 16) / 16**13
