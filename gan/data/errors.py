"""What can be wrong with shards.

ShhqError
+-- StoreError
|   +-- ShardsMissing       no index, or a file that the index names is not there
|   +-- ShardCorrupt        a file has another size, content or schema than the index says
+-- BasisError
    +-- MixedBases          coefficients of different body or face models in one training set
"""

from dataprep.errors import StoreError
from gan.errors import BasisError


class ShardsMissing(StoreError):
    """The folder has no shards, or not all of them."""


class ShardCorrupt(StoreError):
    """A shard's bytes are not those that the index and the parquet twin describe."""


class MixedBases(BasisError):
    """Two rows of one training set speak of different body or face models."""
