"""The twelve stages of the data preparation, one a file, in the paper's order."""
