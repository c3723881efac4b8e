"""Checks and counts of the data before training."""
