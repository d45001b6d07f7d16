"""Verbs that tell how a data set is."""
