"""What can be wrong with the shards of a training set.

ShhqError
+-- StoreError
|   +-- ShardsMissing, ShardCorrupt      `dataprep.errors`
+-- BasisError
    +-- MixedBases                       coefficients of different body or face models in one training set
"""

from gan.errors import BasisError


class MixedBases(BasisError):
    """Two rows of one training set speak of different body or face models."""
