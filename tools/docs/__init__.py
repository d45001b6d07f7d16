"""Make and check the documentation from the code."""
