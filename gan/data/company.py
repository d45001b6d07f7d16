"""What the weights in gan/shipped bring along beside themselves.

`demo.pt` is a checkpoint like any other, with two things more: rows of the labels it was trained on, from which people
and motions are drawn, and the basis of its appearance codes, with which training can go on. It is packed by
`tools.standins.pack_demo`.

Suffixes: N rows, V values of a texture, C components.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from dataprep.errors import AssetError
from gan.data.appearance_basis import Basis
from gan.data.label_rows import LABEL_SHAPES, Labels

_LABEL, _MEAN, _DIRECTIONS = "label.", "appearance.mean", "appearance.directions"


def company_of(labels: Labels, basis: Basis) -> dict[str, Tensor]:
    """Return what is shipped with the weights; the basis in half precision: three digits."""
    rows = {_LABEL + name: torch.from_numpy(getattr(labels, name)) for name in LABEL_SHAPES}
    halves = torch.from_numpy(basis.direction_VC).half(), torch.from_numpy(basis.mean_V).half()
    return rows | {_DIRECTIONS: halves[0], _MEAN: halves[1]}


def labels_of(company: Mapping[str, Tensor]) -> Labels | None:
    """Return the label rows that came with a checkpoint; None where there are none."""
    if not company:
        return None
    try:
        return Labels(**{name: company[_LABEL + name].numpy() for name in LABEL_SHAPES})
    except KeyError as missing:
        raise AssetError(f"the checkpoint's label rows lack {missing}; install the package again") from missing


def basis_of(company: Mapping[str, Tensor]) -> Basis | None:
    """Return the basis of the appearance codes that a checkpoint was trained with; None where it has none."""
    if _MEAN not in company:
        return None
    return Basis(company[_MEAN].float().numpy(), company[_DIRECTIONS].float().numpy().astype(np.float32))
