"""The shards of one or several data sets, sample by sample: `ShardDataset` is a torch data set."""

from gan.data.shards.dataset import ShardDataset, Split

__all__ = ["ShardDataset", "Split"]
