"""One photograph through the whole pipeline, in a worker process and a folder of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from PIL import Image
from skimage.data import astronaut  # shipped with scikit-image: NASA, public domain

from dataprep.tables.manifest_files import read_manifest
from pipelines import paper_stages
from pipelines.commands.verify import defects_of
from pipelines.engine.run import run
from pipelines.executors.dask_executor import DaskExecutor

_QUICK = ("superres.model=span", "superres.precision=float32")


def probe() -> str:
    """Build a data set of one public-domain portrait; returns what went wrong, "" when it was accepted."""
    with tempfile.TemporaryDirectory(prefix="shhq-hs-doctor-") as folder, open(os.devnull, "w") as nowhere:
        photos, out = Path(folder, "photos"), Path(folder, "out")
        photos.mkdir()
        Image.fromarray(astronaut()).save(photos / "astronaut.png")
        with contextlib.redirect_stderr(nowhere), DaskExecutor("local", 1) as executor:
            summary = run(photos, out, paper_stages.build(_QUICK), executor)
        if summary.failed:
            return summary.failed[0]
        (row,) = read_manifest(out).to_pylist()
        if row["status"] != "ok":
            return f"{row['status']} in {row['stage']}: {row['reason']}: {row['message']}"
        return next(iter(defects_of(out, deep=True).defects), "")
