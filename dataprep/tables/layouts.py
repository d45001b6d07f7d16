"""Which files lie beside the photographs for them: masks and maps of SHHQ's layout, and of `images/` with `masks/`.

A mask has its photograph's name in a mask folder beside the image folder, below the same sub-folders:
`no_segment/a.jpg` and `segments/a.png`, `Images/x/a.JPG` and `Masks/x/a.webp`. Folders and stems are compared without
regard to case. Paths are plain text here: of many thousand files, `pathlib` would take most of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".jp2"}
IMAGE_SUFFIXES |= {".jfif", ".heic", ".heif", ".avif"}  # phones' formats: a row and a reason where Pillow cannot
VIDEO_SUFFIXES = {".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v"}
ARCHIVE_SUFFIXES = (".tar", ".parquet")
SHHQ_FOLDER = "no_segment"
IMAGE_FOLDERS = {SHHQ_FOLDER, "images", "image", "imgs", "img", "photos", "photographs", "pictures"}
MASK_FOLDERS = {"segments", "segment", "segmentation", "segmentations", "masks", "mask", "mattes", "matte", "alpha"}
PARSING_FOLDERS = {"parsing", "parsings", "shhq-1.0_parsing"}
_ENDINGS = ("", "_mask", "-mask", "_seg", "_segmentation", "_matte", "_alpha")  # between a mask's stem and its suffix

Key = tuple[tuple[str, ...], tuple[str, ...], str]  # folders above, sub-folders below, stem in lower case


@dataclass(frozen=True)
class Layout:
    """Masks by what they belong to, and the folders that hold no inputs, each ending in "/"."""

    masks: dict[Key, list[str]]
    auxiliary: tuple[str, ...]

    def mask_of(self, path: str) -> str | None:
        """The mask of a photograph; of several the one of the same case, then a PNG, then the first by name."""
        stem = _stem(path)
        for above, below, lower_stem in _keys(path, IMAGE_FOLDERS):
            for name in (lower_stem, path.rpartition("/")[2].lower()):
                for ending in _ENDINGS:
                    if masks := self.masks.get((above, below, name + ending)):
                        return min(
                            masks, key=lambda mask: (_stem(mask) != stem, not mask.lower().endswith(".png"), mask)
                        )
        return None

    def is_auxiliary(self, path: str) -> bool:
        return path.startswith(self.auxiliary)

    def unused(self, used: Iterable[str | None]) -> list[str]:
        """Masks that belong to no photograph, sorted."""
        every = {mask for masks in self.masks.values() for mask in masks if self.is_auxiliary(mask)}
        return sorted(every - set(used))


def is_image(path: str) -> bool:
    """By the suffix; a name that begins with its only dot has none."""
    return suffix_of(path) in IMAGE_SUFFIXES


def is_video(path: str) -> bool:
    """By the suffix."""
    return suffix_of(path) in VIDEO_SUFFIXES


def is_tar(path: str) -> bool:
    """By the suffix."""
    return suffix_of(path) == ".tar"


def suffix_of(path: str) -> str:
    """In lower case with its dot; "" without one."""
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


def is_shhq(path: str) -> bool:
    return any(folder.lower() == SHHQ_FOLDER for folder in path.split("/")[:-1])


def layout_of(paths: Iterable[str]) -> Layout:
    """The layout of all files below a source folder; folders that cannot be listed end in "/"."""
    every = list(paths)
    masks: dict[Key, list[str]] = {}
    beside: dict[str, set[tuple[str, ...]]] = {SHHQ_FOLDER: set(), "": set()}  # where image folders lie
    for path in filter(is_image, every):
        for key in _keys(path, MASK_FOLDERS):
            masks.setdefault(key, []).append(path)
        for above, folder in _folders(path, IMAGE_FOLDERS):
            beside[SHHQ_FOLDER if folder == SHHQ_FOLDER else ""].add(above)
    by_name = Layout(masks, ())
    matched = {by_name.mask_of(path) for path in every if is_image(path)}
    auxiliary: set[str] = set()
    for path in every:
        for above, folder in _folders(path, MASK_FOLDERS | PARSING_FOLDERS):
            # a folder called masks that matches no photograph may hold photographs of people in masks
            ours = folder in MASK_FOLDERS and (path in matched or (path.endswith("/") and above in beside[""]))
            if above in beside[SHHQ_FOLDER] or ours:
                auxiliary.add(path[: len("/".join((*above, folder))) + 1])
    return Layout(masks, tuple(sorted(auxiliary)))


def _keys(path: str, names: set[str]) -> Iterator[Key]:
    """What the file would be known by, for each of its folders that has one of these names, the deepest first."""
    for above, _ in _folders(path, names):
        yield above, tuple(path.split("/")[len(above) + 1 : -1]), _stem(path).lower()


def _folders(path: str, names: set[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Folders above, and the name in lower case, of each folder of the path that has one of these names."""
    folders = path.split("/")[:-1]
    for i in reversed(range(len(folders))):
        if (name := folders[i].lower()) in names:
            yield tuple(folders[:i]), name


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name
