"""Models that the stages use: detection, super-resolution, matting, bodies and faces. None knows about stages."""
