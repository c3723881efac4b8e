"""Containers for the predictions of many rows, one kind per file."""
