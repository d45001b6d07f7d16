"""Marks: what people say of samples, saved as they say it."""

from __future__ import annotations

from typing import Any

from dataprep.errors import ConfigError
from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.live_marks import SUGGESTED_REASONS, as_list, marks_from
from pipelines.viewer.viewed_dataset import ViewedDataset

_LATEST = 300


class MarksHandler(GuardedHandler):
    """GET api/marks: how many there are and the latest; POST api/marks {"marks": [...]}: save some."""

    async def get(self) -> None:
        """Answer with counts, the latest marks and the reasons to choose from."""
        self.answer(await self.in_thread(summary, self.dataset))

    async def post(self) -> None:
        """Answer once all are on the disk, with what was stored; raises ConfigError on what is no mark."""
        content = self.body_as_json().get("marks")
        if not isinstance(content, list) or not content:
            raise ConfigError("api/marks expects a list of marks")
        marks = marks_from(content, self.dataset.who)
        if len(marks) != len(content):
            raise ConfigError("every mark needs the id of a sample")
        self.dataset.rows_of(mark.sample_id for mark in marks)
        stored = await self.in_thread(self.dataset.marks.add, marks)
        self.answer({"marks": {mark.sample_id: as_list(mark) for mark in stored}, "at": self.dataset.marks.made})


def summary(dataset: ViewedDataset) -> dict[str, Any]:
    """Everything that the tab of marks shows."""
    dataset.marks.refresh()
    counted = dataset.marks.counted(dataset.census.selected, dataset.census.column("stage"))
    used = [reason for reason, _ in counted["reasons"].most_common() if reason]
    return counted | {
        "latest": dataset.marks.latest(_LATEST),
        "suggested": list(dict.fromkeys([*used, *SUGGESTED_REASONS])),
        "place": str(dataset.out),
    }


HANDLERS = ((r"api/marks", MarksHandler),)
