"""This machine and this process: cores, memory, limits, a clean stop."""
