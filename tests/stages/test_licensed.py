"""The user's own files through the pipeline: found by name, used, named in every row, and never replaced in silence."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError, ConfigError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.frames.rotations import sixd_from_matrix
from dataprep.models.face.bfm09 import bfm09_sha256
from dataprep.models.regressors.hmr import image_exemplar
from dataprep.models.regressors.lifter import from_mediapipe
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.base import Item
from dataprep.stages.body import Body
from dataprep.stages.face import Face
from dataprep.tables.columns import rows_from_table
from pipelines.main import main
from tests.licensed_files import write_bfm09, write_bfm_front, write_gfpgan, write_hmr, write_rnet, write_smpl_pickle

PHOTO = Path(__file__).parents[2] / "samples" / "people" / "no_segment" / "p001.jpg"
SMPL = ("--set", "body.model=SMPL_NEUTRAL.pkl")
BFM = ("--set", "face.model=BFM_model_front.mat")
FAST = ("--set", "superres.model=span", "--cluster", "serial")


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    write_smpl_pickle(folder / "SMPL_NEUTRAL.pkl", 10, chumpy=True)
    write_bfm_front(folder / "BFM_model_front.mat")
    return folder


@pytest.fixture(autouse=True)
def _folder(assets: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(assets))
    return


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "p001.jpg").write_bytes(PHOTO.read_bytes())
    return folder


def stage_rows(out: Path, stage: str) -> list[dict[str, Any]]:
    (part,) = (out / "stages").glob(f"{stage}-*/part-*.parquet")
    return rows_from_table(pq.read_table(part))


def test_a_missing_file_is_named_with_its_source_and_the_next_command(tmp_path: Path, capsys: Any) -> None:
    for setting, words in (
        ("body.model=SMPL_NEUTRAL.npz", ("body.model=SMPL_NEUTRAL.npz: no such file", "smpl.is.tue.mpg.de")),
        ("face.model=elsewhere/BFM_model_front.mat", ("BFM_model_front.mat: no such file", "faces.dmi.unibas.ch")),
    ):
        assert main(["plan", str(PHOTO.parent), "--out", str(tmp_path / "out"), "--set", setting]) == 2
        error = capsys.readouterr().err
        assert all(word in error for word in (*words, "shhq-hs assets", "SHHQ_HS_ASSETS")), error
    with pytest.raises(AssetError, match=r"body\.hmr=model_checkpoint\.pt: no such file.*nkolot/SPIN"):
        Body(model="SMPL_NEUTRAL.pkl", regressor="hmr").weights()
    with pytest.raises(AssetError, match=r"face\.rnet=epoch_20\.pth: no such file.*Deep3DFaceRecon"):
        Face(model="BFM_model_front.mat", method="rnet").weights()


PAPER_FILES = (
    ("SMPL_NEUTRAL.pkl", "body.model", "smpl.is.tue.mpg.de"),
    ("model_checkpoint.pt", "body.hmr", "nkolot/SPIN"),
    ("GFPGANv1.4.pth", "superres.gfpgan", "TencentARC/GFPGAN"),
    ("BFM_model_front.mat", "face.model", "faces.dmi.unibas.ch"),
    ("epoch_20.pth", "face.rnet", "Deep3DFaceRecon"),
)


def test_all_files_that_are_missing_are_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With `paper`, which comes along, every file of the paper; each with its setting, its use and its source."""
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path))
    plan = ["plan", str(PHOTO.parent), "--out", str(tmp_path / "out"), "--config", "paper"]
    assert main(plan) == 2
    error = capsys.readouterr().err
    assert f"5 model files are missing, neither as paths nor in {tmp_path}:" in error
    lines = {line.split()[0]: line for line in error.splitlines() if line.startswith("  ")}
    assert list(lines) == [name for name, _, _ in PAPER_FILES]
    for name, setting, source in PAPER_FILES:
        assert f"({setting}): " in lines[name]
        assert source in lines[name]
        assert "research-only" in lines[name]
    (tmp_path / "epoch_20.pth").touch()
    others = ("face.model=01_MorphableModel.mat", "superres.restore=none", "superres.model=RealESRGAN_x4plus.pth")
    assert main([*plan, *(part for setting in others for part in ("--set", setting))]) == 2
    error = capsys.readouterr().err
    assert "9 model files are missing" in error  # six of the Basel model, SMPL, HMR, and one that nobody knows
    assert "RealESRGAN_x4plus.pth (superres.model): a file of your own" in error
    assert "facemodel_info.mat (face.model): topology of BFM 2009" in error
    assert "epoch_20" not in error


def test_track_names_them_at_once_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path))
    clip = Path(__file__).parents[2] / "samples" / "clip" / "talking.mp4"
    assert main(["track", str(clip), "-o", str(tmp_path / "t.parquet"), *SMPL, *BFM]) == 2
    assert "2 model files are missing" in capsys.readouterr().err
    assert main(["track", str(clip), "-o", str(tmp_path / "t.parquet"), "--config", "paper"]) == 2
    assert "track fits key points and landmarks" in capsys.readouterr().err  # files would not help


def test_bases_are_not_mixed() -> None:
    with pytest.raises(ConfigError, match=r"hmr predicts coefficients of the real SMPL.*body\.model=SMPL_NEUTRAL"):
        Body(regressor="hmr")
    with pytest.raises(ConfigError, match=r"rnet predicts coefficients of the Basel face.*face\.model="):
        Face(method="rnet")
    with pytest.raises(ConfigError, match="starts from the lifter"):
        Body(model="SMPL_NEUTRAL.pkl", regressor="hmr", method="map")


def test_a_body_without_its_own_lifter_is_refused_with_the_command(assets: Path) -> None:
    assert not list(assets.glob("lifter_*"))
    with pytest.raises(AssetError, match=r"no lifter is trained .*train-lifter -- --body SMPL_NEUTRAL\.pkl"):
        Body(model="SMPL_NEUTRAL.pkl").weights()


def test_a_lifter_of_another_body_is_refused(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped weights under the user's body's name do not pass."""
    from dataprep.models.body.body_files import open_body
    from dataprep.models.regressors.lifter_file import WEIGHTS_PATH, lifter_path

    body = open_body("SMPL_NEUTRAL.pkl")
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path))
    lifter_path(body).write_bytes(WEIGHTS_PATH.read_bytes())
    with pytest.raises(AssetError, match=r"was trained on body model body_anny .*not on SMPL_NEUTRAL"):
        Body(model=str(assets / "SMPL_NEUTRAL.pkl")).weights()


@pytest.fixture(scope="module")
def built(assets: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SMPL with a lifter trained for a moment, MAP; BFM by landmarks: the whole pipeline."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHHQ_HS_ASSETS", str(assets))
        trained = ["--body", "SMPL_NEUTRAL.pkl", "--steps", "80", "--hidden", "64"]
        assert main(["train-lifter", "--", *trained]) == 0
        assert main(["run", str(photos), "--out", str(out), *FAST, *SMPL, *BFM, "--set", "body.method=map"]) == 0
    return out


def test_the_pipeline_accepts_a_photo_with_smpl_and_bfm(built: Path, assets: Path) -> None:
    (row,) = rows_from_table(pq.read_table(built / "manifest.parquet"))
    assert row["status"] == "ok", (row["stage"], row["reason"], row["message"])
    models = json.loads(row["models"])
    named = {entry["name"]: entry for entry in (*models["body"], *models["face"])}
    # The shipped face measures the size of faces.
    read_by = {"landmarks_anny", "face_anny", "face_units_anny", "blendshapes_anny"}
    assert set(named) == {"SMPL_NEUTRAL", "lifter", "BFM_model_front", *read_by}
    assert {named[name]["licence"] for name in named if name not in read_by} == {"research-only"}
    assert named["SMPL_NEUTRAL"]["sha256"] == row["body_model_sha256"] == remembered_sha256(assets / "SMPL_NEUTRAL.pkl")
    assert (
        named["BFM_model_front"]["sha256"]
        == row["face_model_sha256"]
        == remembered_sha256(assets / "BFM_model_front.mat")
    )
    assert (row["body_model"], row["body_regressor"], row["face_fit_method"]) == (
        "SMPL_NEUTRAL",
        "lifter",
        "landmark_map",
    )
    assert row["face_fit_rmse"] < 6
    assert row["head_disagreement"] < row["head_disagreement_before"] + 1e-3


def test_the_head_offset_of_a_foreign_pair_is_nearly_none(built: Path) -> None:
    """Both files hold the stand-in's head, so their axes agree; key points find that to a degree or two."""
    (row,) = stage_rows(built, "face")
    angle = np.degrees(np.arccos(np.clip((np.trace(row["head_offset"]) - 1) / 2, -1, 1)))
    assert angle < 2


def test_bfm_2009_raw_runs_through_the_pipeline(built: Path, photos: Path, assets: Path, tmp_path: Path) -> None:
    """The six raw files hold the same face as the front model, so the labels agree; the row names the raw ones."""
    write_bfm09(assets)
    out = tmp_path / "out"
    shutil.copytree(built, out)  # all that lies before the face is there already
    arguments = ["run", str(photos), "--out", str(out), *FAST, *SMPL, "--set", "body.method=map"]
    ended = main([*arguments, "--set", "face.model=01_MorphableModel.mat"])
    (row,) = rows_from_table(pq.read_table(out / "manifest.parquet"))
    assert (ended, row["status"]) == (0, "ok"), (row["stage"], row["reason"], row["message"])
    assert (row["face_model"], row["face_model_sha256"]) == ("BFM09", bfm09_sha256(assets))
    (front,) = stage_rows(built, "face")
    raw = next(row for row in _face_rows(out) if row["face_model"] == "BFM09")
    for name in ("bfm_id", "bfm_exp", "bfm_angle", "bfm_trans"):
        np.testing.assert_allclose(raw[name], front[name], atol=2e-3, err_msg=name)
    assert json.loads(row["models"])["face"][0]["licence"] == "research-only"


def _face_rows(out: Path) -> list[dict[str, Any]]:
    parts = (out / "stages").glob("face-*/part-*.parquet")
    return [row for part in parts for row in rows_from_table(pq.read_table(part))]


def mean_parameters_of(built: Path) -> dict[str, torch.Tensor]:
    """What HMR would have to start from to see the person as the other run did: it knows nothing of pictures here."""
    (detect,), (body,) = stage_rows(built, "detect"), stage_rows(built, "body")
    points = detect["keypoints33"]
    inputs = from_mediapipe(points[:, :2], points[:, 2], detect["keypoints33_world_m"], (10**6, 10**6))
    square = image_exemplar(inputs, np.zeros((64, 64, 3), np.uint8))
    vectors = np.concatenate((body["smpl_global_orient"][None], body["smpl_body_pose_first"]))
    rotations = torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).float()
    scale, *offset = body["body_camera"]
    half, centre = float(square.scale_px), square.centre_px[0].numpy()
    camera = [scale / half, *((np.array(offset) - centre) / half)]
    return {
        "init_pose": sixd_from_matrix(rotations).reshape(1, -1),
        "init_shape": torch.from_numpy(body["smpl_betas"])[None],
        "init_cam": torch.tensor([camera], dtype=torch.float32),
    }


SKIN = (0.6, 0.25, 0.1)


def portrait_of(out: Path) -> np.ndarray:
    """What super-resolution made of the one photograph."""
    (path,) = (out / "stages").glob("superres-*/part-*.tar")
    with tarfile.open(path) as tar:
        (member,) = (one for one in tar if one.name.endswith("superres.png"))
        file = tar.extractfile(member)
        assert file is not None
        return decode_rgb(file.read())


def nose_of(portrait: np.ndarray, tip: np.ndarray) -> np.ndarray:
    x, y = tip.astype(int)
    return portrait[y - 20 : y + 10, x - 10 : x + 10].reshape(-1, 3)


def fit_of_our_own(out: Path, photos: Path) -> tuple[str, int]:
    """Method and steps of the body fit on HMR with our loss instead of the published one, one step long."""
    row = stage_rows(out, "ingest")[0] | stage_rows(out, "detect")[0]
    stage = Body(model="SMPL_NEUTRAL.pkl", regressor="hmr", max_steps=1, stop_loss=0.0)
    (result,) = stage.process([Item(row["sample_id"], row, photos, {}.__getitem__)], stage.load())
    assert result.status == "ok", result.message
    return result.columns["body_fit_method"], result.columns["body_fit_iterations"]


def test_the_papers_own_recipe_runs_through_the_stages(built: Path, photos: Path, assets: Path, tmp_path: Path) -> None:
    """HMR, GFPGAN and R-Net by the file that comes along; only the enlarging network is a quicker one."""
    write_hmr(assets / "model_checkpoint.pt", mean_parameters_of(built))
    (seen,) = stage_rows(built, "face")
    parts = [seen["bfm_id"], seen["bfm_exp"], seen["bfm_tex"], seen["bfm_angle"], seen["bfm_gamma"].ravel(),
             seen["bfm_trans"][:2], seen["bfm_trans"][2:]]  # fmt: skip
    write_rnet(
        assets / "epoch_20.pth", {f"final_layers.{i}.bias": torch.from_numpy(part) for i, part in enumerate(parts)}
    )
    write_gfpgan(assets / "GFPGANv1.4.pth", SKIN)
    arguments = ["run", str(photos), "--out", str(tmp_path), "--config", "paper", *FAST]
    ended = main(arguments)
    (row,) = rows_from_table(pq.read_table(tmp_path / "manifest.parquet"))
    assert (ended, row["status"]) == (0, "ok"), (row["stage"], row["reason"], row["message"])
    (body,), (face,) = stage_rows(tmp_path, "body"), stage_rows(tmp_path, "face")
    assert (body["body_regressor"], body["body_fit_method"]) == ("hmr", "eft")
    assert body["body_fit_loss49"] < 2e-4
    assert fit_of_our_own(tmp_path, photos) == ("eft", 1)
    assert (face["face_fit_method"], face["face_fit_iterations"]) == ("rnet", 0)
    assert face["bfm_id_sigma"] is None
    assert np.isfinite(face["bfm_gamma"]).all()
    assert face["face_fit_rmse"] < 8
    assert row["head_disagreement"] == row["head_disagreement_before"]  # no tie
    models = json.loads(row["models"])
    assert {"name": "GFPGANv1.4.pth", "licence": "research-only"}.items() <= models["superres"][1].items()
    off, off_before = (
        np.abs(nose_of(portrait_of(out), face["landmarks68"][30]) - 127.5 * (np.array(SKIN) + 1)).mean()
        for out in (tmp_path, built)
    )
    assert off < 0.1 * off_before  # SPAN darkens a little
    assert main(["export-eft", str(tmp_path), "-o", str(tmp_path / "eft.json"), "--all"]) == 0
    (entry,) = json.loads((tmp_path / "eft.json").read_text())["data"]
    assert (entry["smpltype"], entry["imageName"]) == ("smpl", "p001.jpg")
    described = json.loads(next((tmp_path / "stages").glob("face-*/stage.json")).read_text())["stage"]["weights"]
    assert ["epoch_20.pth", remembered_sha256(assets / "epoch_20.pth")] in described
