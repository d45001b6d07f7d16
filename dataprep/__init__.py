"""Turn full-body photographs into the SHHQ-HS head-shoulder portrait data set (AniPortraitGAN, SIGGRAPH Asia 2023).

From Python, with what `shhq-hs run` built (docs/python.md):

    data = dataprep.open_dataset("OUT", split="train")     its accepted samples: pictures, labels, every column
    dataprep.describe("joints_zyx")                        what a label is: shape, unit, frame
    dataprep.TorchDataset(data, labels=["bfm_exp"])        for a DataLoader

These names are imported when they are first used: `import dataprep` itself loads nothing.
"""

from dataprep.lazy_names import lazy_names

TYPE_CHECKING = False  # as typing's, which would take longer to import than all of this
if TYPE_CHECKING:
    from dataprep.errors import ShhqError
    from dataprep.labelled_samples import DataSet, LabelledSample, describe, open_dataset
    from dataprep.torch_dataset import TorchDataset

__version__ = "0.1.0"
__all__ = ["DataSet", "LabelledSample", "ShhqError", "TorchDataset", "__version__", "describe", "open_dataset"]
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DataSet": "labelled_samples",
        "LabelledSample": "labelled_samples",
        "describe": "labelled_samples",
        "open_dataset": "labelled_samples",
        "ShhqError": "errors",
        "TorchDataset": "torch_dataset",
    },
)
