"""Inputs that are no photographs of their own in a folder: frames of videos, lists, what was downloaded."""
