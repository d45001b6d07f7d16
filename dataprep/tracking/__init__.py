"""A person of a video, frame by frame, in the labels of the data set (docs/tracking.md)."""
