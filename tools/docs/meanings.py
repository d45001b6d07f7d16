"""What every parameter of the stages means, one line an entry, for the reference (tools/docs/reference.py).

Thresholds of `quality` and what its scores are come from its rules; the rest is said here, with units.
"""

from __future__ import annotations

from dataprep.stages.quality import RULES

_DEVICE = "`auto` (a GPU where there is one), `cpu` or `cuda`"

PARAMETERS: dict[str, str] = {
    "ingest.min_side_px": "a photograph whose shorter side is smaller is rejected (`too_small`); px",
    "ingest.license": "terms of the photographs, written into every row",
    "detect.min_face_px": "a face whose box is smaller is rejected (`face_too_small`); px of the photograph",
    "detect.landmarks": "what finds the 68 landmarks: `mesh` (MediaPipe) or `fan` (weights of your own)",
    "detect.min_mask_iou": "a supplied mask that overlaps less with the person found does not fit (`mask_mismatch`); "
    "intersection over union",
    "detect.misfit_mask": "`refuse` a photograph whose supplied mask does not fit or cannot be read, or `replace` it "
    "by the mask that is found",
    "detect.device": f"where FAN runs: {_DEVICE}",
    "body.model": "body model: the shipped stand-in, or an SMPL file, as a path or a name in the assets folder",
    "body.regressor": "what the fit starts from: `lifter` (shipped) or `hmr` (weights of your own)",
    "body.hmr": "HMR's weights, a path or a name in the assets folder",
    "body.method": "`map`: the likeliest body by a prior; `eft`: fine-tune the regressor on each photograph from there",
    "body.learning_rate": "step size of EFT",
    "body.max_steps": "most steps of EFT for one photograph",
    "body.stop_loss": "EFT stops below this 2D loss per valid coordinate; crop units squared",
    "body.eft_compat": "the published EFT's start, loss, step size and stop instead of ours",
    "body.face_scale": "whether the size of the face is evidence of the body's scale, hence of the crop's",
    "body.openpose": "whether OpenPose points that the source brings are evidence in the fit",
    "body.device": f"where HMR runs: {_DEVICE}",
    "crop.min_side_px": "a portrait square that is smaller is rejected (`crop_too_small`); px of the photograph",
    "crop.max_size_px": "native crops are cut at most this large; px",
    "crop.min_inside": "a portrait square with a smaller part inside the photograph is rejected (`crop_outside`)",
    "superres.model": "network: `x4plus`, `span` (small, fast), `animevideov3` and `anime6b` (for drawings), or a file",
    "superres.engine": "`native`: our networks; `realesrgan`: the package of that name",
    "superres.precision": "`float32`, `bfloat16`, `float16` (GPUs), or `auto`: bfloat16 on a CPU that has it, "
    "float16 on a GPU; each gives other bytes",
    "superres.device": f"where the network runs: {_DEVICE}",
    "superres.tile_px": "side of the tiles that larger crops are cut into; px of the crop",
    "superres.tile_pad_px": "rim of a tile that is computed and thrown away; px of the crop",
    "superres.max_input_px": "larger crops are area-averaged to this first; px",
    "matte.min_coverage": "a person who covers less of the portrait is rejected (`empty_mask`); fraction",
    "matte.model": "what finds the person in the portrait: `selfie` (MediaPipe), or an ONNX file of your own",
    "matte.model_input": "colours that file wants: `imagenet` (BiRefNet) or `unit_bgr` (DAViD)",
    "matte.device": f"where that file runs: {_DEVICE}",
    "face.size_px": "side of the face crop; px",
    "face.landmark_sigma_px": "error of landmarks where the detector's own was not measured; px at 224",
    "face.model": "face model: the shipped stand-in, or a BFM file, as a path or a name in the assets folder",
    "face.method": "`landmark_map`: a fit to landmarks and colours; `rnet`: Deep3DFaceRecon's network",
    "face.contour": "jaw landmarks on the far side: `sliding` along the visible edge, or `fixed` vertices",
    "face.rnet": "R-Net's weights, a path or a name in the assets folder",
    "face.device": f"where R-Net runs: {_DEVICE}",
    "camera.tie_head": "tie SMPL's head to the 3DMM's",
    "camera.head_sigma_deg": "error of the 3DMM's head that the tie assumes: standard deviation; degrees",
    "manifest.near_duplicate_bits": "portraits whose hashes differ in at most so many of 256 bits are one cluster",
    "manifest.keep_near_duplicates": "keep all members of a cluster, not its representative alone",
    "manifest.val_fraction": "part of the clusters that is the validation split",
    "manifest.shard_rows": "samples in a shard",
    "report.max_accepted": "accepted pictures on the page",
    "report.max_rejected": "lost pictures on the page",
    "report.max_per_reason": "examples of each reason",
    "report.max_ranked": "pictures in best and worst",
    "report.near_duplicate_bits": "hashes at most so many bits apart count as near-duplicates in the report",
    "report.earlier": "folder of another version of the data set to compare with",
}
PARAMETERS |= {
    f"quality.{rule.threshold}": f"least `{rule.score}` ({rule.desc}); below: "
    + ("rejected" if rule.rejects else "flagged")
    for rule in RULES
}
