"""The exception tree of the project.

    ShhqError                      anything a user can act on; printed without a traceback
    +-- ConfigError                unknown key, wrong type, value out of range
    +-- AssetError                 a model file is missing, corrupt or of another schema
    +-- StoreError                 an output folder cannot be used as it is
    |   +-- Damaged                a file of ours is missing or not as it was written
    |   +-- ShardsMissing          no index of shards, or a file that the index names is not there
    |   +-- ShardCorrupt           a shard has another size, content or schema than the index says
    |   +-- Unwritable             a file of the output folder could not be written: disk full, read-only
    +-- ClusterLost                the workers are gone and do not come back
    +-- SourceChanged              an input file no longer has the bytes that were indexed
    +-- Unreadable                 an input file cannot be read
    |   +-- WrongHash              an input has another sha256 than a list says
    +-- Unreachable                the place of the inputs does not answer: an object store, a folder that went away
    Rejected                       a rule said no to one image; becomes a row, never stops a run

A message names the thing, the value, what was expected and the next command to type.
"""

import re


class ShhqError(Exception):
    """Base of every error that is the user's to fix; the command line prints its message and exits with 2."""


class ConfigError(ShhqError):
    """A parameter is unknown, has the wrong type or is out of range."""


class AssetError(ShhqError):
    """A model file is missing, truncated, of another schema or of another hash than the known one."""


class StoreError(ShhqError):
    """The output folder belongs to something else, is locked, or cannot be written."""


class Damaged(StoreError):
    """A file of an output folder is missing or not as it was written; `path` names it, `what` says how it is.

    It says nothing about any image: what was computed is computed again.
    """

    def __init__(self, path: object, what: str) -> None:
        super().__init__(str(path), what)  # both: errors travel from workers as their arguments
        self.path, self.what = str(path), what

    def __str__(self) -> str:
        root = re.split(r"/(?:stages|shards|report|runs|inputs)/", self.path)[0]
        root = root if root != self.path else self.path.rpartition("/")[0]
        repair = f"shhq-hs verify {root or '.'} --repair"
        return f"{self.path} {self.what}; to repair: {repair}, then the command that built it"


class Unwritable(StoreError):
    """The disk is full, over quota or read-only. What was committed before is whole."""


class ShardsMissing(StoreError):
    """The folder has no shards, or not all of them."""


class ShardCorrupt(StoreError):
    """A shard's bytes are not those that the index and the parquet twin describe."""


class ClusterLost(ShhqError):
    """The scheduler or all of its workers are gone."""


class Unreadable(ShhqError):
    """An input file cannot be read: permissions, vanished, no regular file. `reason` goes into the row."""

    reason = "unreadable"


class WrongHash(Unreadable):
    """An input has another sha256 than the list that names it says."""

    reason = "wrong_hash"


class Unreachable(ShhqError):
    """The object store of the inputs does not answer, or their folder has gone: that says nothing about any image."""


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
