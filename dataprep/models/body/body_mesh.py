"""The full mesh of a body model, posed by the `smplx` package. Key points inside a fit never need it: `body_points`."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.extras import require_extra
from dataprep.frames.smpl_joints import JOINTS, PARENTS
from dataprep.models.body.smpl import BETAS, BodyModel


def load() -> tuple[Any, Any]:
    """Import smplx's layer and its record of arrays; raises AssetError with the command where the extra is absent."""
    require_extra("smplx", "the full mesh of a body model")
    from smplx.body_models import SMPLLayer
    from smplx.utils import Struct

    return SMPLLayer, Struct


class BodyMesh:
    """The full mesh of a body model, posed by smplx's layer.

    The layer's extra "vertex joints" are pinned to vertex 0 and dropped: their ids only fit the 6,890 topology.
    Raises AssetError without the extra `smplx`, whose code is for non-commercial research.
    """

    def __init__(self, model: BodyModel) -> None:
        layer, arrays_of = load()
        posedirs = model.posedirs
        if posedirs is None:
            posedirs = np.zeros((len(model.v_template), 3, 9 * (len(JOINTS) - 1)), np.float32)
        arrays = {
            "v_template": model.v_template,
            "shapedirs": model.shapedirs,
            "posedirs": posedirs,
            "weights": model.weights,
            "J_regressor": model.joint_regressor.toarray(),
            "kintree_table": np.stack((np.array(PARENTS), np.arange(len(JOINTS)))),
            "f": model.faces,
        }
        with contextlib.redirect_stdout(io.StringIO()):  # it announces "only 10 shape coefficients"
            self.layer = layer("", data_struct=arrays_of(**arrays), vertex_ids=_AnyVertex(), num_betas=BETAS)

    @torch.no_grad()
    def __call__(
        self, rotations: Float[Tensor, "b 24 3 3"], betas: Float[Tensor, "b 10"]
    ) -> tuple[Float[Tensor, "b v 3"], Float[Tensor, "b 24 3"]]:
        """Posed vertices and joints in metres, translation zero; `rotations` are local, the root's first."""
        out = self.layer(betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], pose2rot=False)
        return out.vertices, out.joints[:, : len(JOINTS)]


class _AnyVertex(dict[str, int]):
    """Answers every landmark name with vertex 0."""

    def __missing__(self, name: str) -> int:
        return 0
