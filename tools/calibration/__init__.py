"""Measure the systematic errors of detectors on people with known truth."""
