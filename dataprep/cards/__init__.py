"""What tells others how to read the shards: the data set card, Croissant's metadata, and what a sample's JSON holds."""
