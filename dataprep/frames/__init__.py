"""Places and directions, as numbers alone: the frames of crops, faces and cameras, angles and rotations."""
