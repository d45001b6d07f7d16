"""A data set for `torch.utils.data.DataLoader`: pictures and any labels as named tensors, and transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dataprep.errors import ConfigError
from dataprep.labelled_samples import DataSet
from dataprep.settings import unknown
from dataprep.tables.shard_reader import IMAGE_NAMES, ImageName

Transform = Callable[[Any], Any]


class TorchDataset(Dataset[Any]):
    """Samples as dictionaries of tensors, which torch's own collation stacks.

    Pictures are uint8, (3, H, W), alpha (1, H, W); labels float32 in their shapes; `sample_id` is text.
    """

    def __init__(
        self,
        data: DataSet,
        pictures: Sequence[ImageName] = ("portrait",),
        labels: Sequence[str] | None = None,
        transform: Transform | Mapping[str, Transform] | None = None,
        portrait_px: int | None = None,
    ) -> None:
        """Choose pictures and labels (all where `labels` is None).

        `transform` takes the whole dictionary, or is a dictionary: what to do with which entry. `portrait_px` makes
        portrait and alpha smaller by the mean of areas. Raises ConfigError on a name that is not there.
        """
        for picture in pictures:
            if picture not in IMAGE_NAMES:
                raise ConfigError(f"no such picture: {unknown(picture, IMAGE_NAMES)}")
        names = data.label_names if labels is None else tuple(map(data.require_label, labels))
        self.data, self.pictures, self.portrait_px, self.transform = data, tuple(pictures), portrait_px, transform
        self._labels = {name: torch.from_numpy(values) for name, values in data.labels(*names).items() if names}
        if isinstance(transform, Mapping):
            known = (*self.pictures, *self._labels, "sample_id")
            for name in transform:
                if name not in known:
                    raise ConfigError(f"transform: no such entry: {unknown(name, known)}")

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        """Return the sample at a position; raises IndexError beyond the end, ShardCorrupt on damaged bytes."""
        sample = self.data[index]
        entries: dict[str, Any] = {name: self._picture(sample.index, name) for name in self.pictures}
        entries |= {name: values[sample.index] for name, values in self._labels.items()}
        entries["sample_id"] = sample.sample_id
        if isinstance(self.transform, Mapping):
            return entries | {name: change(entries[name]) for name, change in self.transform.items()}
        return entries if self.transform is None else self.transform(entries)

    def _picture(self, index: int, name: ImageName) -> Tensor:
        side_px = None if name == "face" else self.portrait_px
        picture = torch.tensor(self.data.files.image(index, name, side_px))  # a copy: decoded pictures are read-only
        return picture[None] if picture.ndim == 2 else picture.permute(2, 0, 1).contiguous()
