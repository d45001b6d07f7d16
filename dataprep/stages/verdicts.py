"""How every row of a data set ends: by its stages first, then by what reviewers decided.

An acceptance overrides a stage that judges finished labels (`Stage.judges`) and the rule against near-duplicates;
never a stage that did not find a label, and never an error. A rejection overrides everything but an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from dataprep.stages.aggregate import DatasetView
from dataprep.tables.review import ACCEPT, REJECT, Decision, reason_of

MESSAGE = "a reviewer rejected it"


@dataclass
class RowVerdicts:
    """How each row ended; the first stage that did not accept it speaks, and a reviewer after it."""

    status: list[str]
    stage: list[str | None]
    reason: list[str | None]
    message: list[str | None]
    accepted: Bool[np.ndarray, "n"]
    judged: Bool[np.ndarray, "n"]  # reached quality with a portrait
    wanted: Bool[np.ndarray, "n"]  # accepted, and a reviewer said so

    def reject(self, rows: Bool[np.ndarray, "n"], stage: str, reason: str, message: str) -> None:
        for i in np.flatnonzero(rows):
            self.status[i], self.stage[i], self.reason[i], self.message[i] = "rejected", stage, reason, message
        self.accepted = self.accepted & ~rows

    def accept(self, rows: Bool[np.ndarray, "n"]) -> None:
        for i in np.flatnonzero(rows):
            self.status[i], self.stage[i], self.reason[i], self.message[i] = "ok", None, None, None
        self.accepted = self.accepted | rows

    def obey_acceptances(
        self, ids: Sequence[str], decided: Mapping[str, Decision], complete: Bool[np.ndarray, "n"]
    ) -> None:
        """Accept rows that a judging stage rejected and a reviewer accepts; `complete`: every other stage was content.

        Also says which accepted rows the reviewer wants, near-duplicates or not.
        """
        named = _decided(ids, decided, ACCEPT)
        self.accept(named & complete & ~self.accepted)
        self.wanted = named & self.accepted

    def obey_rejections(self, ids: Sequence[str], decided: Mapping[str, Decision], stage: str) -> None:
        """Reject every row that a reviewer rejects and that no error ended."""
        rows = _decided(ids, decided, REJECT) & np.isin(self.status, ["ok", "rejected"])
        self.reject(rows, stage, "", MESSAGE)
        for i in np.flatnonzero(rows):
            self.reason[i] = reason_of(decided[ids[i]])


def verdict_of_stages(view: DatasetView, order: Int[np.ndarray, "n"], judged: Bool[np.ndarray, "n"]) -> RowVerdicts:
    """How each row ended by the stages alone; `order`: the place in the index of every row."""
    n = len(order)
    verdict = RowVerdicts(["ok"] * n, [None] * n, [None] * n, [None] * n, np.ones(n, bool), judged, np.zeros(n, bool))
    for name in view.stages:
        status, *words = columns_of(view, name, ["status", "reason", "message"], order)
        lost = ~pc.is_in(status, pa.array(["ok", "upstream"])).to_numpy() & verdict.accepted
        for i in np.flatnonzero(lost):
            verdict.status[i], verdict.stage[i] = status[i].as_py(), name
            verdict.reason[i], verdict.message[i] = (column[i].as_py() for column in words)
        verdict.accepted = verdict.accepted & ~lost
    return verdict


def lost_to_judges_alone(view: DatasetView, order: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Rows that every stage accepted but those that judge, which rejected some: all of their labels are there."""
    complete = np.ones(len(order), bool)
    for name, stage in view.stages.items():
        (status,) = columns_of(view, name, ["status"], order)
        fine = ["ok", "rejected"] if stage.judges else ["ok"]
        complete &= pc.is_in(status, pa.array(fine)).to_numpy()
    return complete


def columns_of(
    view: DatasetView, stage: str, names: Iterable[str], order: Int[np.ndarray, "n"]
) -> list[pa.ChunkedArray]:
    """Columns of a stage in the manifest's order."""
    table = view.table(stage, list(names))
    return [table[name].take(pa.array(order)) for name in names]


def _decided(ids: Sequence[str], decided: Mapping[str, Decision], verdict: str) -> Bool[np.ndarray, "n"]:
    return np.array([name in decided and decided[name].verdict == verdict for name in ids], bool)
