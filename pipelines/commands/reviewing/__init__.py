"""Reviewers' marks: given, told, carried to other data sets, obeyed."""
