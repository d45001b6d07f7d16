"""Files of the licensed models' true schema and shapes, made from the stand-ins: 6,890 and 35,709 vertices.

No licensed data: vertices are the stand-in's, in an order that puts SMPL's named vertices where SMPL has them.
"""

import pickle
import types
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.io
import scipy.sparse
import torch
from scipy.spatial import cKDTree
from smplx.vertex_ids import vertex_ids

from dataprep.frames.rotations import sixd_from_matrix
from dataprep.models.body.smpl import BodyModel, load_body
from dataprep.models.face.bfm import load_face
from dataprep.models.regressors.hmr import Hmr
from dataprep.models.regressors.rnet import RNet
from dataprep.models.restoration.gfpgan import STYLE, WIDTHS, Gfpgan

SMPL_VERTICES, SMPL_FACES = 6890, 13776
NAMED = {
    "nose": "nose", "leye": "left_eye", "reye": "right_eye", "lear": "left_ear", "rear": "right_ear",
    "LHeel": "left_heel", "RHeel": "right_heel", "LBigToe": "left_foot_index", "RBigToe": "right_foot_index",
}  # fmt: skip


@cache
def smpl_arrays() -> dict:
    """SMPL's keys as plain arrays: float64, dense, 10 shape directions, small pose blend shapes."""
    body = load_body()
    kept = _vertex_order(body)
    nearest = cKDTree(body.v_template[kept]).query(body.v_template)[1]
    regressor = body.joint_regressor.tocoo()
    joints = scipy.sparse.coo_matrix((regressor.data, (regressor.row, nearest[regressor.col])), (24, SMPL_VERTICES))
    faces = nearest[body.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    kintree = np.stack((np.array((-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)),
                        np.arange(24))).astype(np.uint32)  # fmt: skip
    rng = np.random.default_rng(7)
    weights = body.weights[kept].astype(np.float64)
    return {
        "v_template": body.v_template[kept].astype(np.float64),
        "shapedirs": body.shapedirs[kept].astype(np.float64),
        "posedirs": rng.normal(0, 2e-4, (SMPL_VERTICES, 3, 207)),
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": joints.tocsc(),
        "kintree_table": kintree,
        "f": np.resize(faces, (SMPL_FACES, 3)).astype(np.uint32),
        "J": np.zeros((24, 3)),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def _vertex_order(body: BodyModel) -> np.ndarray:
    """Stand-in vertices in SMPL's number, evenly thinned, with the named ones in SMPL's places."""
    regressed = body.keypoint_rows(tuple(f"mediapipe/{name}" for name in NAMED.values())) @ body.v_template
    named = [int(np.linalg.norm(body.v_template - point, axis=1).argmin()) for point in regressed]
    others = np.setdiff1d(np.arange(len(body.v_template)), named)
    others = others[np.linspace(0, len(others) - 1, SMPL_VERTICES).astype(int)]
    order = others.copy()
    for key, vertex in zip(NAMED, named, strict=True):
        order[vertex_ids["smplh"][key]] = vertex
    return order


def stub_modules(*names: str) -> dict:
    """Empty classes under the module names that SMPL's pickles hold, so that pickling spells those names."""
    made = {}
    for full in names:
        module, _, name = full.rpartition(".")
        made[full] = type(name, (), {"__module__": module, "__qualname__": name})
    return made


class _Spelled(pickle._Pickler):
    """Writes stub classes without looking for their modules, and numpy under its name of Python 2's time."""

    def save_global(self, obj: object, name: str | None = None) -> None:
        module = getattr(obj, "__module__", None) or "builtins"
        name = name or getattr(obj, "__qualname__", obj.__name__)
        spelled = {"copyreg": "copy_reg", "builtins": "__builtin__", "numpy._core.multiarray": "numpy.core.multiarray"}
        self.write(pickle.GLOBAL + f"{spelled.get(module, module)}\n{name}\n".encode())
        self.memoize(obj)

    dispatch: ClassVar[dict] = {**pickle._Pickler.dispatch, type: save_global, types.FunctionType: save_global}


def dump(path: Path, content: object) -> Path:
    """Pickle in protocol 2 with the module names given by the classes themselves."""
    with path.open("wb") as file:
        _Spelled(file, protocol=2).dump(content)
    return path


def write_smpl_pickle(path: Path, betas: int = 10, chumpy: bool = False) -> Path:
    """SMPL_NEUTRAL.pkl as v1.0 (10 betas) or v1.1 (300), with chumpy's objects inside or not."""
    arrays = dict(smpl_arrays())
    extra = np.zeros((SMPL_VERTICES, 3, betas - 10))
    arrays["shapedirs"] = np.concatenate((arrays["shapedirs"], extra), 2)
    stubs = stub_modules("chumpy.ch.Ch", "chumpy.reordering.Select", "scipy.sparse.csc.csc_matrix")
    arrays["J_regressor"] = _old_sparse(arrays["J_regressor"], stubs["scipy.sparse.csc.csc_matrix"])
    if chumpy:
        for key in ("v_template", "weights", "posedirs"):
            arrays[key] = _ch(arrays[key], stubs)
        whole = arrays["shapedirs"]
        select = stubs["chumpy.reordering.Select"]()
        padded = np.concatenate((whole, np.full((SMPL_VERTICES, 3, 2), 9.0)), 2)
        index = np.arange(padded.size).reshape(padded.shape)[:, :, : whole.shape[2]].ravel()
        select.__dict__ = {"a": _ch(padded, stubs), "idxs": index, "preferred_shape": whole.shape}
        arrays["shapedirs"] = select
    return dump(path, arrays)


def _ch(array: np.ndarray, stubs: dict) -> object:
    node = stubs["chumpy.ch.Ch"]()
    node.__dict__ = {"x": array, "_dirty_vars": set(), "_itr": None, "_depends_on_deps": {}}
    return node


def _old_sparse(matrix: scipy.sparse.csc_matrix, stub: type) -> object:
    node = stub()
    node.__dict__ = {
        "_shape": matrix.shape, "data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr,
        "maxprint": 50, "_has_sorted_indices": True,
    }  # fmt: skip
    return node


@cache
def face_arrays() -> dict:
    """BFM_model_front's keys: the stand-in's surface twice subdivided, thinned to 35,709 vertices."""
    face = load_face()
    values = np.concatenate(
        (face.mean[..., None], face.id_base, face.exp_base, face.mean_texture[..., None], face.tex_base), 2
    ).astype(np.float32)
    values, triangles = _subdivide(*_subdivide(values.reshape(len(values), -1), face.triangles))
    count = 35_709
    assert len(values) >= count
    values = values[:count].reshape(count, 3, -1)
    triangles = triangles[(triangles < count).all(1)]
    skin = np.ones((1, count), np.float32)
    flat = values.reshape(3 * count, -1)
    return {
        "meanshape": flat[:, :1].T, "idBase": flat[:, 1:81], "exBase": flat[:, 81:145], "meantex": flat[:, 145:146].T,
        "texBase": flat[:, 146:], "tri": (triangles + 1).astype(np.float32),
        "point_buf": (_point_buf(triangles, count) + 1).astype(np.float64), "skinmask": skin,
        "keypoints": (face.landmarks + 1).astype(np.float64)[None], "tri_mask2": (triangles[:54_681] + 1),
        "frontmask2_idx": np.arange(1, 27_661)[:, None],
    }  # fmt: skip


def _subdivide(values: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One round of edge midpoints; old vertices keep their numbers."""
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    a, b, c = triangles.T
    ab, bc, ca = (len(values) + inverse.reshape(-1, 3)).T
    finer = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return np.concatenate((values, values[unique].mean(1))), finer


def _point_buf(triangles: np.ndarray, count: int) -> np.ndarray:
    """(count, 8) triangles around each vertex, padded with their number."""
    out = np.full((count, 8), len(triangles))
    vertex = triangles.ravel()
    order = np.argsort(vertex, kind="stable")
    first = np.searchsorted(vertex[order], vertex[order])
    slot = np.arange(len(order)) - first
    used = slot < 8
    out[vertex[order][used], slot[used]] = order[used] // 3
    return out


def write_bfm_front(path: Path) -> Path:
    scipy.io.savemat(path, face_arrays())
    return path


def write_bfm09(folder: Path) -> Path:
    """The six raw files: face_arrays() scattered over 53,490 and 53,215 vertices, in micrometres."""
    arrays, rng = face_arrays(), np.random.default_rng(3)
    raw, exp, front = 53_490, 53_215, 35_709
    in_raw = np.sort(rng.choice(raw, exp, replace=False))
    in_exp = np.sort(rng.choice(exp, front, replace=False))
    rows = in_raw[in_exp]
    ev = np.linspace(2, 0.5, 199)[:80].astype(np.float32)

    def scattered(values: np.ndarray, at: np.ndarray, size: int) -> np.ndarray:
        out = np.zeros((size, 3, values.shape[1]), np.float32)
        out[at] = values.reshape(front, 3, -1)
        return out.reshape(3 * size, -1)

    main = {
        "shapePC": scattered(arrays["idBase"] * 1e5 / ev, rows, raw), "shapeEV": ev[:, None],
        "shapeMU": scattered(arrays["meanshape"].T * 1e5, rows, raw),
        "texPC": scattered(arrays["texBase"] / ev, rows, raw), "texEV": ev[:, None],
        "texMU": scattered(arrays["meantex"].T, rows, raw),
    }  # fmt: skip
    scipy.io.savemat(folder / "01_MorphableModel.mat", main)
    deviations = np.linspace(3, 1, 79)
    components = scattered(arrays["exBase"] * 1e5 / deviations[:64], in_exp, exp).T
    components = np.concatenate((components, np.ones((15, components.shape[1]), np.float32)))
    with (folder / "Exp_Pca.bin").open("wb") as file:
        file.write(np.int32(79).tobytes() + np.zeros(3 * exp, "<f4").tobytes() + components.astype("<f4").tobytes())
    np.savetxt(folder / "std_exp.txt", deviations[None])
    scipy.io.savemat(folder / "BFM_front_idx.mat", {"idx": (in_exp + 1.0)[:, None]})
    scipy.io.savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (in_raw + 1.0)[:, None]})
    info = {key: arrays[key] for key in ("tri", "point_buf", "tri_mask2", "keypoints", "frontmask2_idx", "skinmask")}
    scipy.io.savemat(folder / "facemodel_info.mat", info)
    return folder


def plain_hmr() -> Hmr:
    """Random features, small last layers, and mean parameters of an upright person who faces the camera."""
    torch.manual_seed(0)
    network = Hmr()
    for layer in (network.decpose, network.decshape, network.deccam):
        torch.nn.init.normal_(layer.weight, std=1e-4)
        torch.nn.init.zeros_(layer.bias)
    upright = torch.eye(3).repeat(24, 1, 1)
    upright[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    network.init_pose.copy_(sixd_from_matrix(upright).reshape(1, -1))
    network.init_cam.copy_(torch.tensor([[0.95, 0.0, -0.35]]))
    return network.eval()


def write_hmr(path: Path, start: dict[str, torch.Tensor] | None = None) -> Path:
    """model_checkpoint.pt as SPIN saves it, from parallel training and with optimiser leftovers; `start`: init_*."""
    state = {f"module.{key}": value for key, value in (plain_hmr().state_dict() | (start or {})).items()}
    content = {"model": state, "epoch": 5, "optimizer": {"lr": np.float64(3e-5)}}
    torch.save(content, path, _use_new_zipfile_serialization=False)  # SPIN is of torch 1.1's time
    return path


def plain_rnet(angle: tuple[float, float, float] = (0.05, -0.1, 0.02)) -> RNet:
    """Small weights: near the mean face, at a fixed angle."""
    torch.manual_seed(1)
    network = RNet()
    for layer in network.final_layers:
        torch.nn.init.normal_(layer.weight, std=1e-3)
        torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        network.final_layers[3].bias.copy_(torch.tensor(angle))
    return network.eval()


def write_rnet(path: Path, biases: dict[str, torch.Tensor] | None = None) -> Path:
    """epoch_20.pth with its optimiser and scheduler; `biases`: what the final layers answer on the whole."""
    scheduler = {"last_epoch": 20, "_last_lr": [np.float64(1e-6)]}
    torch.save(
        {"net_recon": plain_rnet().state_dict() | (biases or {}), "opt_00": {"state": {}}, "sched_00": scheduler}, path
    )
    return path


def write_gfpgan(
    path: Path, colour: tuple[float, float, float] = (1.0, -1.0, -1.0), widths: tuple[int, ...] = WIDTHS
) -> Path:
    """GFPGANv1.4.pth's 285 entries, zero but for the last level's colour (-1..1): every face comes out as that.

    Zeros lie in the file once for all, so that it has the true shapes in a few kilobytes.
    """
    style = STYLE if widths == WIDTHS else 8
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in Gfpgan(widths, style).state_dict().items()}
    last = f"stylegan_decoder.to_rgbs.{len(widths) - 2}.bias"
    state = {key: torch.zeros(()).expand(shape) for key, shape in (shapes | _only_for_training(widths, style)).items()}
    torch.save({"params_ema": state | {last: torch.tensor(colour).reshape(1, 3, 1, 1)}}, path)
    return path


def _only_for_training(widths: tuple[int, ...], style: int) -> dict[str, tuple[int, ...]]:
    """Entries that the published file holds and that restoring a face does not read."""
    levels = range(len(widths) - 1)
    shapes: dict[str, tuple[int, ...]] = {}
    for level in levels:
        shapes |= {f"toRGB.{level}.weight": (3, widths[level + 1], 1, 1), f"toRGB.{level}.bias": (3,)}
    for layer in range(1, 17, 2):
        name = f"stylegan_decoder.style_mlp.{layer}"
        shapes |= {f"{name}.weight": (style, style), f"{name}.bias": (style,)}
    for i, side in enumerate([4, *(8 << level for level in levels for _ in range(2))]):
        shapes[f"stylegan_decoder.noises.noise{i}"] = (1, 1, side, side)
    return shapes
