"""What can go wrong on the user's side of the generator."""

from dataprep.errors import AssetError, ShhqError


class CheckpointError(AssetError):
    """A checkpoint is not a generator's: keys are missing, unknown, of another shape, or contradict each other."""


class BasisError(ShhqError):
    """Coefficients were made with other body or face models than the generator was trained on."""
