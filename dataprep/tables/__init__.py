"""What a data set is on disk: columns, sealed tables, parts, the store, the index of inputs."""
