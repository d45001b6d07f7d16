"""Verbs about the generator and what moves it."""
