"""The manifest's search for rows that belong together: links between near-duplicates and between likenesses.

groups          distinct likenesses, and who may be a near-duplicate: read by those that look for links
hashes-03       links between near-duplicates, of one band of bits
cells-03        of very many likenesses: the cells that some of them lie in (`dataprep.face_links`)
faces-03        links between likenesses, of some rows against all later ones, or within some cells
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from dataprep import duplicates
from dataprep.face_links import EXACT_FACES, cells_of, links_of_faces, links_within, pivots_of, shared_out
from dataprep.files.locations import Location
from dataprep.same_people import distinct_faces
from dataprep.stages.aggregate import Workers
from dataprep.stages.manifest_gathering import Scratch
from dataprep.stages.verdicts import ACCEPTED
from dataprep.tables.ranges import gathered, read_array, slices, write_arrays

_PAIRS_A_TASK = 1 << 32  # of faces: some ten seconds; within cells a quarter, for their tasks read all faces
_PLACED_A_TASK = 1 << 16  # faces: some seconds
_ROWS_AT_A_TIME = 65_536


@dataclass(frozen=True)
class LinkRules:
    """How alike rows are that belong together; parameters of the manifest."""

    near_duplicate_bits: int
    same_person_cosine: float
    min_likeness_self: float


@dataclass(frozen=True)
class FoundLinks:
    """Pairs that were found, in so many files of each kind."""

    hash_files: int
    face_files: int

    def of_hashes(self, scratch: Scratch) -> Int[np.ndarray, "k 2"]:
        """Near-duplicates, by their places in the index."""
        return _read(scratch, "hashes", self.hash_files)

    def of_faces(self, scratch: Scratch) -> Int[np.ndarray, "k 2"]:
        """Distinct faces that are alike, by their places in `groups`."""
        return _read(scratch, "faces", self.face_files)


@dataclass(frozen=True)
class _Task:
    scratch: Scratch
    rules: LinkRules
    piece: int = 0
    some: tuple[int, int] = (0, 0)  # bands, faces or cells
    read: int = 0  # files of an earlier step


def find_links(workers: Workers, scratch: Scratch, rules: LinkRules, rows: int) -> FoundLinks:
    """Leave all links in the scratch folder."""
    (faces,) = workers.each(_find_groups, [_Task(scratch, rules)], "groups")
    bands = duplicates.band_count(rules.near_duplicate_bits)
    a_task = 1 if rows > _ROWS_AT_A_TIME else bands  # few rows are read once
    hashes = _tasks(scratch, rules, slices(bands, a_task))
    workers.each(_link_hashes, hashes, "near-duplicates")
    return FoundLinks(len(hashes), _find_links_of_faces(workers, scratch, rules, faces))


def _find_links_of_faces(workers: Workers, scratch: Scratch, rules: LinkRules, faces: int) -> int:
    if faces <= EXACT_FACES:
        blocks = _tasks(scratch, rules, _shares(faces))
        workers.each(_link_faces, blocks, "people")
        return len(blocks)
    places = _tasks(scratch, rules, slices(faces, _PLACED_A_TASK))
    sizes = np.sum(workers.each(_place_faces, places, "places of people"), axis=0)
    cells = _tasks(scratch, rules, shared_out(sizes, _PAIRS_A_TASK // 4), read=len(places))
    workers.each(_link_cells, cells, "people")
    return len(cells)


def _tasks(scratch: Scratch, rules: LinkRules, pieces: Iterable[slice | range], read: int = 0) -> list[_Task]:
    return [_Task(scratch, rules, i, (some.start, some.stop), read) for i, some in enumerate(pieces)]


def _shares(faces: int) -> list[slice]:
    """Rows that have about as many pairs with later ones, tasks being of some seconds."""
    tasks = max(1, math.ceil(faces**2 / 2 / _PAIRS_A_TASK))
    left = faces * (1 - np.sqrt(1 - np.arange(tasks + 1) / tasks))
    cuts = np.unique(left.round().astype(int))
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(cuts)] or [slice(0, 0)]


def _find_groups(task: _Task) -> int:
    """Distinct faces of the accepted rows that say who it is; returns how many."""
    facts = task.scratch.all_facts
    likeness, certainty = gathered(facts, "likeness"), gathered(facts, "likeness_self").astype(np.float64)
    sure = np.flatnonzero((gathered(facts, "stage") == ACCEPTED) & (certainty >= task.rules.min_likeness_self))
    faces, face_of_row = distinct_faces(likeness[sure])
    judged = np.flatnonzero(gathered(facts, "judged"))
    arrays = {"faces": faces, "sure": sure, "face": face_of_row, "judged": judged}
    if len(faces) > EXACT_FACES:
        arrays["pivots"] = pivots_of(faces)
    write_arrays(_groups(task), arrays)
    return len(faces)


def _link_hashes(task: _Task) -> None:
    judged = read_array(_groups(task), "judged")
    hashes = gathered(task.scratch.all_facts, "hash")[judged]
    bits = task.rules.near_duplicate_bits
    links = [duplicates.links_of_band(hashes, bits, band) for band in range(*task.some)]
    _write(task, "hashes", judged[np.concatenate(links)])


def _link_faces(task: _Task) -> None:
    faces = read_array(_groups(task), "faces")
    _write(task, "faces", links_of_faces(faces, slice(*task.some), task.rules.same_person_cosine))


def _place_faces(task: _Task) -> Int[np.ndarray, " c"]:
    """Leave the cells of some faces; returns how many of them lie in each."""
    pivots = read_array(_groups(task), "pivots")
    cells = cells_of(read_array(_groups(task), "faces", slice(*task.some)), pivots)
    write_arrays(task.scratch.folder / f"cells-{task.piece}", {"cells": cells})
    return np.bincount(cells.ravel(), minlength=len(pivots))


def _link_cells(task: _Task) -> None:
    faces = read_array(_groups(task), "faces")
    cells = gathered([task.scratch.folder / f"cells-{i}" for i in range(task.read)], "cells")
    _write(task, "faces", links_within(faces, cells, range(*task.some), task.rules.same_person_cosine))


def _groups(task: _Task) -> Location:
    return task.scratch.folder / "groups"


def _write(task: _Task, kind: str, links: Int[np.ndarray, "k 2"]) -> None:
    write_arrays(task.scratch.folder / f"{kind}-{task.piece}", {"links": links})


def _read(scratch: Scratch, kind: str, files: int) -> Int[np.ndarray, "k 2"]:
    return gathered([scratch.folder / f"{kind}-{i}" for i in range(files)], "links")
