"""The pipeline: the DAG of stages, its executors, and the command line.

From Python (docs/python.md):

    built = pipelines.run("photos", "OUT", {"superres.model": "span"})      as `shhq-hs run` does
    built.counts, built.open()                                              how many of each status; the data set

These names are imported when they are first used.
"""

from dataprep.lazy_names import lazy_names

TYPE_CHECKING = False  # as typing's, which would take longer to import than all of this
if TYPE_CHECKING:
    from pipelines.run_from_python import Built, run

__all__ = ["Built", "run"]
__getattr__, __dir__ = lazy_names(__name__, dict.fromkeys(("Built", "run"), "run_from_python"))
