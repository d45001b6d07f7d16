"""Real-ESRGAN's networks: files, networks, tile by tile."""
