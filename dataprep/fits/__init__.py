"""Fits of body and face models to key points and landmarks. Pure functions of arrays."""
