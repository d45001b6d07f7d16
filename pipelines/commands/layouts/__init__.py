"""Layouts of `shhq-hs export`, one a file: a function that writes samples into a new folder and counts them."""
