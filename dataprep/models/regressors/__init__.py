"""Networks that say a body or a face at once: the key-point lifter, HMR, R-Net."""
