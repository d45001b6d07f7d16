"""How every row of a data set ends: by its stages first, then by what reviewers decided.

An acceptance overrides a stage that judges finished labels (`Stage.judges`) and the rule against near-duplicates;
never a stage that did not find a label, and never an error. A rejection overrides everything but an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from dataprep.stages.base import Stage
from dataprep.tables.review import ACCEPT, REJECT, Decision, reason_of

ACCEPTED = -1  # number of the stage that a row ended in
MESSAGE = "a reviewer rejected it"


@dataclass(frozen=True)
class Ends:
    """How each row of some parts ended; the first stage that did not accept it speaks, unless a reviewer accepts it.

    `review`: why a reviewer rejects the row, None where nobody does or an error ended it. The manifest rejects these
    rows last, so that none of their near-duplicates moves up.
    """

    stage: Int[np.ndarray, " n"]  # its number, ACCEPTED for none
    status: list[str | None]
    reason: list[str | None]
    message: list[str | None]
    wanted: Bool[np.ndarray, " n"]  # accepted, and a reviewer said so
    review: list[str | None]

    @classmethod
    def of(
        cls,
        tables: Mapping[str, pa.Table],
        stages: Mapping[str, Stage],
        ids: Sequence[str],
        decided: Mapping[str, Decision],
    ) -> Ends:
        """Return the ends of the rows of `tables`, which are by stage and in one order."""
        n = len(ids)
        ends = cls(np.full(n, ACCEPTED, np.int16), ["ok"] * n, [None] * n, [None] * n, np.zeros(n, bool), [None] * n)
        for number, table in enumerate(tables.values()):
            lost = ~pc.is_in(table["status"], pa.array(["ok", "upstream"])).to_numpy() & (ends.stage == ACCEPTED)
            rows = np.flatnonzero(lost)
            ends.stage[rows] = number
            for name, told in (("status", ends.status), ("reason", ends.reason), ("message", ends.message)):
                for i, word in zip(rows, table[name].take(pa.array(rows)).to_pylist(), strict=True):
                    told[i] = word
        if decided:
            ends._obey(ids, decided, _lost_to_judges_alone(tables, stages))
        return ends

    def _obey(self, ids: Sequence[str], decided: Mapping[str, Decision], complete: Bool[np.ndarray, " n"]) -> None:
        for i, decision in ((i, decided[name]) for i, name in enumerate(ids) if name in decided):
            if decision.verdict == ACCEPT:
                if complete[i]:
                    self.stage[i], self.status[i], self.reason[i], self.message[i] = ACCEPTED, "ok", None, None
                self.wanted[i] = self.stage[i] == ACCEPTED
            elif decision.verdict == REJECT and self.status[i] in ("ok", "rejected"):
                self.review[i] = reason_of(decision)


def _lost_to_judges_alone(tables: Mapping[str, pa.Table], stages: Mapping[str, Stage]) -> Bool[np.ndarray, " n"]:
    """Rows that every stage accepted but those that judge, which rejected some: all of their labels are there."""
    complete = np.ones(len(next(iter(tables.values()))), bool)
    for name, table in tables.items():
        fine = ["ok", "rejected"] if stages[name].judges else ["ok"]
        complete &= pc.is_in(table["status"], pa.array(fine)).to_numpy()
    return complete
