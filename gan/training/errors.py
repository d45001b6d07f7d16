"""What can end a training run.

ShhqError
+-- ConfigError
|   +-- RunMismatch     the folder holds a run of other data, models, preset or seed
+-- Diverged            a loss or a gradient is not finite
"""

from dataprep.errors import ConfigError, ShhqError


class RunMismatch(ConfigError):
    """A run is continued only with what it was begun with."""


class Diverged(ShhqError):
    """A loss or gradient became infinite or NaN; no checkpoint is from after that. `who`: generator or critic."""

    def __init__(self, message: str, who: str) -> None:
        super().__init__(message)
        self.who = who
