"""Verbs that build a data set and keep it, and the machines and models for that."""
