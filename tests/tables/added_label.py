"""A label that only the list knows, on its way: `python -m tests.tables.added_label FOLDER` prints what became of it.

A fresh interpreter, since the list is read when its readers are imported, as it is when somebody edits it.
"""

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dataprep.tables import labels
from dataprep.tables.columns import FLOAT, Column

labels.LABELS += (
    labels.Label(
        "corner_tint", FLOAT, "colour of the top left corner against grey", "grey levels / 128", "source", (3,),
        mirrored=labels.Mirrored.OPPOSITE, group=labels.PriorGroup.IDENTITY, outlier_cut=1.0,
        allowed=(-0.5, 0.5), statistics=True,
    ),
)  # fmt: skip


from dataprep.pictures.codecs import decode_rgb  # noqa: E402
from dataprep.report.census import Census  # noqa: E402
from dataprep.report.health import health  # noqa: E402
from dataprep.report.prior import prior  # noqa: E402
from dataprep.stages.base import Item, Result, Stage  # noqa: E402
from dataprep.stages.manifest import Manifest  # noqa: E402
from dataprep.stages.shards import Shards  # noqa: E402
from gan.animation.animate_labels import open_labels  # noqa: E402
from gan.data.mirror import Mirror  # noqa: E402
from gan.data.priors import LabelPrior, Purpose  # noqa: E402
from gan.data.shards import ShardDataset  # noqa: E402
from pipelines import paper_stages  # noqa: E402
from pipelines.commands.export import export  # noqa: E402
from pipelines.engine.dag import assemble  # noqa: E402
from tests.fake_dataset import make_dataset, make_photos  # noqa: E402


@dataclass(frozen=True)
class CornerTint(Stage):
    """The stage that measures it."""

    name: ClassVar[str] = "corner_tint"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest",)
    columns: ClassVar[tuple[Column, ...]] = (labels.label("corner_tint"),)

    def process_item(self, item: Item, tools: None) -> Result:
        corner = decode_rgb(item.source())[8:56, 8:56].reshape(-1, 3).astype(float)
        return Result(columns={"corner_tint": corner.mean(axis=0) / 128 - 1})


def journey(folder: Path) -> dict[str, Any]:
    """Take the label from the photographs to an export; returns what each place holds of it."""
    make_photos(folder / "photos", 16)
    stages = (*paper_stages.build().stages, CornerTint())
    dag = assemble(stages, (Manifest(keep_near_duplicates=True, val_fraction=0.2), Shards()))
    make_dataset(folder / "photos", folder / "out", {}, dag=dag)
    out = folder / "out"
    census, dataset = Census(out), ShardDataset([out])
    only_signs = Mirror(None, None, None)
    shown = prior(census, 4, 100)
    export(out, folder / "plain", "plain", "train")
    exported = np.load(folder / "plain/vectors.npz")["corner_tint"].tolist()
    drawn, _ = LabelPrior(dataset.labels, 0).labels_and_noise(range(64), Purpose.GENERATOR)
    (range_check,) = (one for one in health(census) if one.column == "corner_tint")
    return {
        "manifest": census.matrix("corner_tint").tolist(),
        "flagged": [bool(flag) for flag in census.column("flag_label_outlier")],
        "split": census.column("split"),
        "shards": _json_of(dataset, 0)["corner_tint"],
        "index": json.loads((out / "shards/index.json").read_text())["label_statistics"]["corner_tint"],
        "loader": dataset.labels.corner_tint.tolist(),
        "mirror": only_signs.labels(dataset.labels).corner_tint.tolist(),
        "prior": drawn["corner_tint"].tolist(),
        "identities": len(LabelPrior(dataset.labels, 0).identities()),
        "animated": len(open_labels(out).identity_N80),
        "report": len(dataset) - shown.trimmed["identity"] if shown else None,
        "left_out": [one.label for one in shown.left_out] if shown else [],
        "range": dataclasses.asdict(range_check),
        "export": exported,
    }


def _json_of(dataset: ShardDataset, row: int) -> Any:
    import tarfile

    shard = dataset._shards[0]
    with tarfile.open(shard.tar) as tar:
        return json.loads(tar.extractfile(f"{dataset.sample_ids[row]}.json").read())  # type: ignore[union-attr]


if __name__ == "__main__":
    print(json.dumps(journey(Path(sys.argv[1]))))
