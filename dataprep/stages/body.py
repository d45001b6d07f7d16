"""body: SMPL on the whole photograph, by MAP from a regressor, and EFT from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dataprep.errors import ConfigError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.fits.body.detector_errors import DETECTOR_PATH, load_detector
from dataprep.fits.body.eft_config import EftConfig
from dataprep.models.body.body_files import STANDIN, open_body
from dataprep.models.licensed import RESEARCH_ONLY, find_file
from dataprep.models.regressors.lifter_file import open_lifter_file
from dataprep.settings import number, setting
from dataprep.stages.base import DEVICE, Item, Result, Stage, Weight, gpu_wish
from dataprep.stages.face import Face
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT16, Column, floats
from dataprep.tables.labels import SMPL_BETAS, label

if TYPE_CHECKING:
    from dataprep.stages.body_tools import BodyTools

_CAM = {"unit": "rad", "frame": "cam"}


@dataclass(frozen=True)
class Body(Stage):
    """Fits shape, pose and a weak-perspective camera to the visible key points and to the face's size.

    Reasons: too_few_keypoints.
    """

    name: ClassVar[str] = "body"
    version: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect")
    columns: ClassVar[tuple[Column, ...]] = (
        label(SMPL_BETAS),
        floats("smpl_global_orient", (3,), "rotation vector of the pelvis; 180 deg about x = upright, frontal", **_CAM),
        floats(
            "smpl_body_pose_first",
            (23, 3),
            "rotation vectors of joints 1-23 before the head tie (the crop is made from this fit)",
            unit="rad",
            frame="parent joint",
        ),
        floats("body_camera", (3,), "s px/m, ox px, oy px: u = s X + ox, v = s Y + oy", frame="source"),
        floats("smpl_joints_px", (24, 2), "projected SMPL joints of the first fit", unit="px", frame="source"),
        floats(
            "smpl_joints_cam_m",
            (24, 3),
            "posed SMPL joints of the first fit, translation zero",
            unit="m",
            frame="cam",
            released=False,
        ),
        floats("neck_cam_m", (3,), "posed neck joint, translation zero", unit="m", frame="cam"),
        floats("chest_rotation_cam", (3, 3), "global rotation of joint 9; columns are the chest's axes", frame="cam"),
        Column("body_fit_rmse", FLOAT, "root mean square distance of visible key points", unit="px", frame="source"),
        Column("body_fit_rmse_relative", FLOAT, "the same as a part of the portrait's side", unit="fraction"),
        Column("body_fit_portrait_rmse", FLOAT, "the same over head, shoulders and elbows", unit="px", frame="source"),
        Column("body_fit_portrait_rmse_relative", FLOAT, "that as a part of the portrait's side", unit="fraction"),
        Column(
            "body_face_scale",
            FLOAT,
            "the camera's scale by the size of the face, null where it was not used",
            unit="px/m",
            frame="source",
        ),
        Column("body_openpose_points", UINT16, "supplied OpenPose points the fit used", unit="count"),
        Column("body_fit_loss_before", FLOAT, "regressor's 2D loss per valid coordinate", unit="crop units squared"),
        Column("body_fit_loss", FLOAT, "2D loss per valid coordinate after the fit", unit="crop units squared"),
        Column("body_fit_loss49", FLOAT, "2D loss in EFT's published 49-joint mean", unit="crop units squared"),
        Column("body_fit_points", UINT16, "visible key points the fit used", unit="count"),
        Column("body_fit_iterations", UINT16, "optimisation steps of the method", unit="count"),
        Column("body_fit_method", STRING, "eft or map"),
        Column("body_regressor", STRING, "what the fit started from: lifter, hmr or the name of an ONNX file"),
        Column("body_model", STRING, "body model that the coefficients belong to"),
        Column("body_model_sha256", STRING, "its file"),
        floats(
            "neck_head_covariance",
            (6, 6),
            "what key points leave open of neck and head, for the head tie",
            unit="rad squared",
            released=False,
        ),
        floats(
            "face_points_rest_m",
            (7, 3),
            "nose, eyes, ears and mouth corners of the mean body",
            unit="m",
            frame="T pose",
            released=False,
        ),
        Column("body_fit_fallback", BOOL, "the fit did not improve and the regressor's output stands"),
    )

    model: str = setting(
        STANDIN, "body model: the shipped stand-in, or an SMPL file, as a path or a name in the assets folder"
    )
    regressor: str = setting(
        "lifter",
        "what the fit starts from: `lifter` (shipped), `hmr` (weights of your own), or the lifter on 3D joints that an "
        "ONNX file of your own reads from pixels (InstantHMR's kind)",
    )
    hmr: str = setting("model_checkpoint.pt", "HMR's weights, a path or a name in the assets folder")
    method: Literal["eft", "map"] = setting(
        "eft", "`map`: the likeliest body by a prior; `eft`: fine-tune the regressor on each photograph from there"
    )
    learning_rate: float = number(EftConfig.learning_rate, 1e-9, 1, "step size of EFT")
    max_steps: int = number(EftConfig.max_steps, 0, 10_000, "most steps of EFT for one photograph")
    stop_loss: float = number(
        EftConfig.stop_loss, 0, 1, "EFT stops below this 2D loss per valid coordinate; crop units squared"
    )
    eft_compat: bool = setting(False, "the published EFT's start, loss, step size and stop instead of ours")
    face_scale: bool = setting(
        True, "whether the size of the face is evidence of the body's scale, hence of the crop's"
    )
    openpose: bool = setting(True, "whether OpenPose points that the source brings are evidence in the fit")
    device: str = setting("auto", DEVICE.format("HMR, or that file,"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regressor not in ("lifter", "hmr") and not self.regressor.endswith(".onnx"):
            raise ConfigError(f"body.regressor={self.regressor}: expected lifter, hmr or an .onnx file")
        if self.regressor == "hmr" and self.model == STANDIN:
            raise ConfigError(
                "body.regressor=hmr predicts coefficients of the real SMPL and cannot drive the shipped body; add "
                "--set body.model=SMPL_NEUTRAL.pkl"
            )
        if self.eft_compat and self.method == "map":
            raise ConfigError("body.eft_compat is EFT as published; leave body.method=map out, or body.eft_compat")
        if self.regressor == "hmr" and self.method == "map":
            raise ConfigError("body.method=map starts from the lifter; use body.method=eft with body.regressor=hmr")

    def own_files(self) -> tuple[tuple[str, str], ...]:
        model = () if self.model == STANDIN else (("body.model", self.model),)
        if self.regressor == "lifter":
            return model
        return (*model, ("body.hmr", self.hmr) if self.regressor == "hmr" else ("body.regressor", self.regressor))

    def weights(self) -> tuple[Weight, ...]:
        model = open_body(self.model)
        body = Weight(model.name, model.sha256, model.licence)
        faces = Face().weights() if self.face_scale else ()
        if self.regressor == "hmr":
            path, detector = find_file(self.hmr, "body.hmr"), load_detector()
            return (
                body,
                Weight(path.name, remembered_sha256(path), RESEARCH_ONLY),
                Weight(DETECTOR_PATH.stem, detector.sha256, str(detector.meta["licence"])),
                *faces,
            )
        lifter = Weight("lifter", open_lifter_file(model, self.model).sha256, model.licence)
        if self.regressor == "lifter":
            return (body, lifter, *faces)
        path = find_file(self.regressor, "body.regressor")
        return (body, lifter, Weight(path.name, remembered_sha256(path), "unknown"), *faces)

    def resources(self) -> dict[str, float]:
        return {} if self.regressor == "lifter" else gpu_wish(self.device)

    def load(self) -> BodyTools:
        from dataprep.stages.body_tools import BodyChoices, open_tools

        eft = EftConfig(learning_rate=self.learning_rate, max_steps=self.max_steps, stop_loss=self.stop_loss)
        choices = BodyChoices(self.model, self.regressor, self.hmr, self.method, eft, self.eft_compat, self.face_scale,
                          self.openpose, self.device)  # fmt: skip
        return open_tools(choices)

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        error = f"{row['body_fit_rmse']:.1f} px = {row['body_fit_rmse_relative']:.1%} of the square"
        points, steps = f"{row['body_fit_points']} points", f"{row['body_fit_iterations']} steps"
        kept = ", regressor's output kept" if row["body_fit_fallback"] else ""
        return [
            f"{row['body_fit_method']}, {points}, {steps}, error {error}",
            f"scale {row['body_camera'][0]:.0f} px/m{kept}",
        ]

    def process_item(self, item: Item, tools: BodyTools) -> Result:
        return tools.fit(item)
