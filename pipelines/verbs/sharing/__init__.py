"""Verbs that take a part of a data set, write it in other layouts, or bring one in."""
