"""Face restoration before super-resolution: GFPGAN on the user's own weights."""
