"""The authors' sampler tables: the label rows that their weights were trained on, as priors of people and motions.

    id_shape_sampler_body.npy      [N, 90]   identity 80 (BFM), body shape 10 (SMPL)
    camera_pose_joint_sample.npy   [N, 20]   pitch and yaw of the portrait camera, six joints by three angles, radians
    expression_body.npy            [N, 64]   expression (BFM)

Rows of different files have nothing to do with each other. The folder's other two tables, `id_face_sampler.npy` and
`expression_face.npy`, are of face photographs and serve the face branch in training alone.
"""

from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.npy_files import read_rows
from dataprep.models.licensed import assets_folder
from gan.animation.animate_labels import AnimateLabels
from gan.animation.tracks import SHAPES
from gan.checkpoint import Checkpoint, require_published_names
from gan.config import EXPRESSION_CODE, ID_CODE
from gan.rendering.body_arrays import BETAS

FOLDER = "sampler_npy"
PEOPLE, MOTIONS, EXPRESSIONS = "id_shape_sampler_body.npy", "camera_pose_joint_sample.npy", "expression_body.npy"
CAMERA = 2  # numbers before the joints'


def find_tables(named: Path | None, checkpoint: Checkpoint) -> Path | None:
    """Return the folder named, as a path or in the assets folder; for the authors' weights theirs where it lies there.

    Raises ConfigError where there is no such folder.
    """
    if named is None:
        kept = assets_folder() / FOLDER
        return kept if checkpoint.published and kept.is_dir() else None
    for folder in (named, assets_folder() / named.name):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"--priors {named}: no such folder, neither as a path nor in {assets_folder()}; expected the authors' {FOLDER} "
        f"with {PEOPLE}, {MOTIONS} and {EXPRESSIONS}"
    )


def read_tables(folder: Path, checkpoint: Checkpoint) -> AnimateLabels:
    """Read the tables of a folder for a checkpoint.

    Raises BasisError where its weights speak of other models than SMPL and BFM, ConfigError on a file that is missing
    or has another shape.
    """
    require_published_names(checkpoint, f"--priors {folder}")
    people, motions, expressions = (
        read_rows(folder / name, (width,), f"--priors {folder / name}")
        for name, width in ((PEOPLE, ID_CODE + BETAS), (MOTIONS, CAMERA + 18), (EXPRESSIONS, EXPRESSION_CODE))
    )
    pose_M63 = motions[:, CAMERA:].reshape(-1, *SHAPES["pose"])
    return AnimateLabels(FOLDER, people[:, :ID_CODE], people[:, ID_CODE:], pose_M63, motions[:, :CAMERA], expressions)
