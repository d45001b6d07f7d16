"""Data sets in the layouts of others, in and out."""
