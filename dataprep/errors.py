"""The exception tree of the project.

    ShhqError                      anything a user can act on; printed without a traceback
    +-- ConfigError                unknown key, wrong type, value out of range
    +-- AssetError                 a model file is missing, corrupt or of another schema
    +-- StoreError                 an output folder cannot be used as it is
    |   +-- Unwritable             a file of the output folder could not be written: disk full, read-only
    +-- ClusterLost                the workers are gone and do not come back
    +-- SourceChanged              an input file no longer has the bytes that were indexed
    +-- Unreadable                 an input file cannot be read
    +-- Unreachable                an object store does not answer
    Rejected                       a rule said no to one image; becomes a row, never stops a run

A message names the thing, the value, what was expected and the next command to type.
"""


class ShhqError(Exception):
    """Base of every error that is the user's to mend; the command line prints its message and exits with 2."""


class ConfigError(ShhqError):
    """A parameter is unknown, has the wrong type or is out of range."""


class AssetError(ShhqError):
    """A model file is missing, truncated, of another schema or of another hash than the known one."""


class StoreError(ShhqError):
    """The output folder belongs to something else, is locked, or cannot be written."""


class Unwritable(StoreError):
    """The disk is full, over quota or read-only. What was committed before is whole."""


class ClusterLost(ShhqError):
    """The scheduler or all of its workers are gone."""


class Unreadable(ShhqError):
    """An input file cannot be read: permissions, vanished, no regular file. `reason` goes into the row."""

    reason = "unreadable"


class Unreachable(ShhqError):
    """The object store of the inputs does not answer; asked again it may."""


class SourceChanged(ShhqError):
    """An input file has other bytes now than when it was indexed."""


class Rejected(Exception):
    """A rule declined this image.

    `reason` is a short stable code for tables (`no_face`), `message` one sentence a person understands.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
