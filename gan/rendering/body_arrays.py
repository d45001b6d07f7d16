"""What the generator needs of a body model, as arrays: full SMPL or a stand-in of its format."""

import dataclasses

import numpy as np

from dataprep.errors import AssetError
from dataprep.frames.smpl_joints import PARENTS
from dataprep.models.body.smpl import BodyModel

JOINTS, BETAS = 24, 10
UPPER_BODY = (9, 12, 13, 14, 15, 16, 17)  # the chest and the six joints that are posed: what the portrait shows


@dataclasses.dataclass(frozen=True, eq=False)
class BodyArrays:
    """An SMPL-format body: metres, y up, x to the subject's left; joint 0 is the root and has parent -1."""

    v_template: np.ndarray  # (V, 3)
    shapedirs: np.ndarray  # (V, 3, at least 10)
    J_regressor: np.ndarray  # (24, V)
    weights: np.ndarray  # (V, 24)
    parents: np.ndarray  # (24,)
    posedirs: np.ndarray | None = None  # (V, 3, 207); None means no pose blend shapes
    name: str = "unnamed"
    sha256: str = ""

    def __post_init__(self) -> None:
        vertices = len(self.v_template)
        expected = {
            "v_template": (vertices, 3),
            "J_regressor": (JOINTS, vertices),
            "weights": (vertices, JOINTS),
            "parents": (JOINTS,),
        }
        if self.posedirs is not None:
            expected["posedirs"] = (vertices, 3, 9 * (JOINTS - 1))
        for field, shape in expected.items():
            if getattr(self, field).shape != shape:
                raise AssetError(
                    f"body '{self.name}': {field} has shape {getattr(self, field).shape}, expected {shape}"
                )
        if self.shapedirs.shape[:2] != (vertices, 3) or self.shapedirs.shape[2] < BETAS:
            raise AssetError(
                f"body '{self.name}': shapedirs has shape {self.shapedirs.shape}, expected ({vertices}, 3, 10 or more)"
            )
        if (
            any(not -1 <= int(parent) < joint for joint, parent in enumerate(self.parents))
            or int(self.parents[0]) != -1
        ):
            raise AssetError(f"body '{self.name}': parents {self.parents.tolist()} are no tree rooted at joint 0")

    def upper_body(self, outside_weight_max: float) -> np.ndarray:
        """Return the vertices that joints 9 and 12-17 carry: the fallback for the authors' own list."""
        outside = 1 - self.weights[:, list(UPPER_BODY)].sum(1)
        return np.flatnonzero(outside <= outside_weight_max)


def body_arrays(body: BodyModel) -> BodyArrays:
    """Return what the generator needs of a body model."""
    return BodyArrays(
        v_template=body.v_template,
        shapedirs=body.shapedirs,
        J_regressor=body.joint_regressor.toarray(),
        weights=body.weights,
        parents=np.array(PARENTS),
        posedirs=body.posedirs,
        name=body.name,
        sha256=body.sha256,
    )
