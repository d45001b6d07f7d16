"""Body models of SMPL's schema: arrays, meshes, key points."""
