"""Second step of the manifest: what is decided over all rows at once, from arrays of a few hundred bytes a row.

decided         order of the manifest, and the split of its rows: read by those that judge outliers
own-000012      the columns that are decided here, of one range of ids
usual-NAME      of each row of the manifest, whether the label NAME lies where the prior draws
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from dataprep.components import joined, numbered
from dataprep.files.locations import Location
from dataprep.same_people import people_of
from dataprep.stages.aggregate import Workers
from dataprep.stages.manifest_gathering import Gathered, Scratch, axis_key, label_key
from dataprep.stages.manifest_links import FoundLinks, LinkRules, find_links
from dataprep.stages.verdicts import ACCEPTED
from dataprep.tables.columns import Column
from dataprep.tables.grouping import NO_GROUP, either, first_rows, is_validation, ranks
from dataprep.tables.labels import Label
from dataprep.tables.outliers import centre_and_spread, distance_of
from dataprep.tables.ranges import gathered, range_of, read_array, slices, write_arrays, write_scratch
from dataprep.tables.sampling_weights import AXES, SAMPLING_WEIGHT, evened

_ROWS_AT_A_TIME = 65_536
TRAIN, VAL, NEITHER = 0, 1, -1
SPLITS = ("train", "val")
NEAR_DUPLICATE = ("rejected", "near_duplicate", "almost the same picture as another")


@dataclass(frozen=True)
class Rules:
    """Parameters of the manifest, its columns, and the words that rows refer to by number."""

    likeness: LinkRules
    keep_near_duplicates: bool
    split_by_person: bool
    split_by_clip: bool
    val_fraction: float
    weight_limit: float
    shard_rows: int
    columns: tuple[Column, ...]
    stages: tuple[str, ...]  # names by number, the manifest's own last
    models: tuple[str, ...]  # of a row that ended there


@dataclass(frozen=True)
class _Task:
    scratch: Scratch
    rules: Rules
    found: tuple[Gathered, ...] = ()
    links: FoundLinks | None = None
    label: Label | None = None


def decide(
    workers: Workers, scratch: Scratch, rules: Rules, found: Sequence[Gathered], labels: Sequence[Label]
) -> dict[str, int]:
    """Leave own columns and usual labels in the scratch folder; returns how many rows there are, and selected ones."""
    links = find_links(workers, scratch, rules.likeness, sum(one.rows for one in found))
    whole = _Task(scratch, rules, tuple(found), links)
    (selected,) = workers.each(_decide, [whole], "splits")
    workers.each(_judge_label, [_Task(scratch, rules, label=label) for label in labels], "outliers")
    return {"rows": sum(one.rows for one in found), "selected": selected}


def usual_path(scratch: Scratch, label: str) -> Location:
    return scratch.folder / f"usual-{label}"


# --- all rows, in the manifest's order ---------------------------------------------------------------------------


def _decide(task: _Task) -> int:
    scratch, rules, facts = task.scratch, task.rules, task.scratch.all_facts
    ids = gathered(facts, "sample_id")
    order = np.argsort(ids)
    ids, stage = ids[order], gathered(facts, "stage")[order]
    judged, accepted = gathered(facts, "judged")[order], stage == ACCEPTED
    cluster = np.full(len(ids), NO_GROUP)
    assert task.links is not None
    linked = joined(task.links.of_hashes(scratch), len(ids))
    cluster[judged] = numbered(linked[order][judged])
    rank = ranks(cluster, accepted, order)
    person = _people(task, len(ids), accepted, order)
    copies = accepted & (rank > 0) & ~gathered(facts, "wanted")[order] & (not rules.keep_near_duplicates)
    words = {name: _words(task, name, order) for name in ("status", "reason", "review")}
    reviewed = words["review"].known
    accepted &= ~copies & ~reviewed  # reviewers' rejections last: what stays, stays where it was
    together = either(cluster, person) if rules.split_by_person else cluster
    if rules.split_by_clip:
        clips = _words(task, "clip", order)
        together = either(together, np.where(clips.known, clips.codes, NO_GROUP))
    split = _splits(ids, accepted, together, order, rules)
    write_arrays(scratch.folder / "decided", {"order": order, "split": split})
    columns = _ends(rules, stage, copies, words) | _places(split, rules.shard_rows)
    columns |= {
        "sample_id": _texts(ids),
        "selected": pa.array(accepted),
        "dup_cluster": _known(cluster, judged, pa.uint32()),
        "dup_rank": _known(rank, judged, pa.uint16()),
        "person": _first_ids(ids, first_rows(person, order)),
        SAMPLING_WEIGHT: _weights(task, split, order),
    }
    _write_own(scratch, rules, ids, columns)
    return int(accepted.sum())


def _people(
    task: _Task, rows: int, accepted: Bool[np.ndarray, " n"], order: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """The person of every accepted row; a row that does not say who it is, is one of its own (`grouping.people`)."""
    groups = task.scratch.folder / "groups"
    assert task.links is not None
    links, cosine = task.links.of_faces(task.scratch), task.rules.likeness.same_person_cosine
    found = people_of(read_array(groups, "faces"), read_array(groups, "face"), links, cosine)
    by_index = np.full(rows, NO_GROUP)
    by_index[read_array(groups, "sure")] = found
    person = by_index[order]
    alone = np.flatnonzero(accepted & (person == NO_GROUP))
    person[alone] = person.max(initial=NO_GROUP) + 1 + np.arange(len(alone))
    return person


def _splits(
    ids: np.ndarray, accepted: np.ndarray, group: np.ndarray, order: np.ndarray, rules: Rules
) -> Int[np.ndarray, " n"]:
    """TRAIN or VAL of every accepted row: a group goes where the hash of its first input says."""
    first = first_rows(group, order)
    decisive, of_row = np.unique(first[accepted], return_inverse=True)
    chosen = [is_validation(ids[row].decode(), rules.val_fraction) for row in decisive]
    split = np.full(len(ids), NEITHER, np.int8)
    split[accepted] = np.where(np.array(chosen, bool)[of_row], VAL, TRAIN)
    return split


@dataclass(frozen=True)
class _Words:
    """A word a row, by its number in `known_words`."""

    codes: Int[np.ndarray, " n"]
    known_words: list[str | None]

    @property
    def known(self) -> Bool[np.ndarray, " n"]:
        """Rows that have a word."""
        return np.array([word is not None for word in self.known_words], bool)[self.codes]

    def where(self, rows: Bool[np.ndarray, " n"], others: _Words) -> _Words:
        """The words of `others` in some rows."""
        codes = np.where(rows, others.codes + len(self.known_words), self.codes)
        return _Words(codes, [*self.known_words, *others.known_words])

    def said(self, rows: Bool[np.ndarray, " n"], word: str) -> _Words:
        """One word in some rows."""
        return self.where(rows, _Words(np.zeros(len(self.codes), np.int32), [word]))

    def array(self) -> pa.DictionaryArray:
        return _dictionary(self.codes, self.known_words)


def _words(task: _Task, name: str, order: np.ndarray) -> _Words:
    """A fact that is a word, in the manifest's order; each file of facts numbers its words in its own way."""
    known = list(dict.fromkeys(word for one in task.found for word in one.words[name])) or [None]
    number = {word: i for i, word in enumerate(known)}
    pieces = [np.array([number[word] for word in one.words[name]], np.int32) for one in task.found]
    codes = [piece[read_array(path, name)] for path, piece in zip(task.scratch.all_facts, pieces, strict=True)]
    return _Words(np.concatenate(codes)[order], known)


def _ends(rules: Rules, stage: np.ndarray, copies: np.ndarray, words: Mapping[str, _Words]) -> dict[str, pa.Array]:
    """Status, stage, reason and models; what the manifest itself rejects went through every stage that it could."""
    reviewed = words["review"].known
    own, last = copies | reviewed, len(rules.stages) - 1
    status, reason, _ = NEAR_DUPLICATE
    return {
        "status": words["status"].said(own, status).array(),
        "stage": _dictionary(np.where(own, last, stage), rules.stages),
        "reason": words["reason"].said(copies, reason).where(reviewed, words["review"]).array(),
        "models": _dictionary(np.where((stage == ACCEPTED) | own, last, stage), rules.models),
    }


def _dictionary(codes: np.ndarray, words: Sequence[str | None]) -> pa.DictionaryArray:
    """Words by number, null for a negative one and for None, the dictionary in order of first appearance."""
    same = np.array([words.index(word) for word in words])  # stages without models of their own say the same
    none = np.array([word is None for word in words], bool)
    known = (codes >= 0) & ~none[codes]
    codes = same[codes]
    used, first, inverse = np.unique(codes[known], return_index=True, return_inverse=True)
    number = np.argsort(np.argsort(first))
    indices = np.zeros(len(codes), np.int32)
    indices[known] = number[inverse]
    dictionary = pa.array([words[i] for i in used[np.argsort(first)]], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32(), mask=~known), dictionary)


def _places(split: np.ndarray, shard_rows: int) -> dict[str, pa.Array]:
    shard, row = np.zeros(len(split), np.int64), np.zeros(len(split), np.int64)
    for one in (TRAIN, VAL):
        rows = np.flatnonzero(split == one)
        shard[rows], row[rows] = np.divmod(np.arange(len(rows)), shard_rows)
    unplaced = split == NEITHER
    return {
        "split": _dictionary(split, SPLITS),
        "shard": pa.array(shard, pa.uint16(), mask=unplaced),
        "shard_row": pa.array(row, pa.uint16(), mask=unplaced),
    }


def _known(values: np.ndarray, known: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.array(np.where(known, values, 0), kind, mask=~known)


def _texts(ids: np.ndarray) -> pa.Array:
    size = ids.dtype.itemsize
    offsets = np.arange(0, size * (len(ids) + 1), size, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(ids)))


def _first_ids(ids: np.ndarray, first: np.ndarray) -> pa.Array:
    return _texts(ids).take(pa.array(first, pa.int64(), mask=first == NO_GROUP))


def _weights(task: _Task, split: np.ndarray, order: np.ndarray) -> pa.Array:
    train = split == TRAIN
    bins = [gathered(task.scratch.all_facts, axis_key(axis.name))[order][train].astype(np.int64)
            for axis in AXES if _has(task.scratch, axis_key(axis.name))]  # fmt: skip
    weights = np.zeros(len(split))
    weights[train] = evened(bins, int(train.sum()), task.rules.weight_limit)
    return pa.array(weights, pa.float32(), mask=~train)


def _has(scratch: Scratch, name: str) -> bool:
    try:
        read_array(scratch.facts(0), name, slice(0))
    except KeyError:
        return False
    return True


def _write_own(scratch: Scratch, rules: Rules, ids: np.ndarray, columns: Mapping[str, pa.Array]) -> None:
    fields = [column.field() for column in rules.columns if column.name in columns]
    table = pa.Table.from_arrays([columns[field.name] for field in fields], schema=pa.schema(fields))
    ends = np.searchsorted(_ranges(ids, scratch.ranges), np.arange(scratch.ranges), "right")
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        piece = table.slice(start, end - start)

        def write(file: pa.NativeFile, piece: pa.Table = piece) -> None:
            with pa.ipc.new_stream(file, piece.schema) as stream:
                stream.write_table(piece)

        write_scratch(scratch.own(number), write)


def _ranges(ids: np.ndarray, ranges: int) -> Int[np.ndarray, " n"]:
    return np.concatenate(
        [range_of([one.decode() for one in ids[some]], ranges) for some in slices(len(ids), _ROWS_AT_A_TIME)]
    )


# --- one label ---------------------------------------------------------------------------------------------------


def _judge_label(task: _Task) -> None:
    """Which rows the prior may draw a label from, measured among the training rows (`dataprep.tables.outliers`)."""
    label, scratch = task.label, task.scratch
    assert label is not None
    split, order = (read_array(scratch.folder / "decided", name) for name in ("split", "order"))
    among = split == TRAIN if (split == TRAIN).any() else split != NEITHER
    usual = np.zeros(len(order), bool)
    if among.any():
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        usual[place] = _distances(scratch, label, np.sort(order[among])) <= label.outlier_cut
    write_arrays(usual_path(scratch, label.name), {"usual": usual})


def _distances(scratch: Scratch, label: Label, among: Int[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """Robust distances in the order of the index; `among` are the rows that they are measured by."""
    key, facts = label_key(label.name), scratch.all_facts
    centres, spreads = [], []
    for dimension in range(math.prod(label.shape)):
        pieces = [read_array(path, key, slice(dimension, dimension + 1)) for path in facts]
        values = np.concatenate(pieces, axis=1)[0, among].astype(np.float64)
        centre, spread = centre_and_spread(values[:, None])
        centres.append(centre[0])
        spreads.append(spread[0])
    return np.concatenate(
        [
            distance_of(np.ascontiguousarray(read_array(path, key).T), np.array(centres), np.array(spreads))
            for path in facts
        ]
    )
