"""Faces of people that the shipped estimator was not trained on: one picture each, 64 px, with exact labels.

python -m tests.gan.train.held_out_faces CG     writes them anew, from the folder that the estimator was trained on
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from dataprep.files.npz_files import write_npz
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from gan.face.face_pictures import FacePictures, load_faces
from gan.face.standin_network import STANDIN_PX

PATH = Path(__file__).with_suffix(".npz")
PEOPLE, VIEWS, ACROSS = 96, 3, 12


def held_out_faces() -> FacePictures:
    """Return the pictures, cut out of one JPEG, and their labels."""
    with np.load(PATH) as file:
        sheet = cv2.cvtColor(cv2.imdecode(file["jpeg"], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        label_NK = torch.from_numpy(file["label"])
    rows = sheet.reshape(-1, STANDIN_PX, ACROSS, STANDIN_PX, 3).transpose(0, 2, 4, 1, 3)
    return FacePictures(torch.from_numpy(np.ascontiguousarray(rows).reshape(-1, 3, STANDIN_PX, STANDIN_PX)), label_NK)


def write(faces: FacePictures) -> None:
    """Write the first of every person's views."""
    chosen = slice(0, VIEWS * PEOPLE, VIEWS)
    tiles = faces.image_N3HW[chosen].numpy().reshape(-1, ACROSS, 3, STANDIN_PX, STANDIN_PX)
    sheet = tiles.transpose(0, 3, 1, 4, 2).reshape(-1, ACROSS * STANDIN_PX, 3)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_npz(PATH, {"jpeg": jpeg.ravel(), "label": faces.label_NK[chosen].numpy()})


if __name__ == "__main__":
    write(load_faces([Path(sys.argv[1])], "val", load_face(), load_body()))
