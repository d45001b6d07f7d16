"""The 3DMM fitted to landmarks: MAP, R-Net, expressions, appearance, and what covers a face."""
