"""Measure speed: the stages, the generator, the loader."""
