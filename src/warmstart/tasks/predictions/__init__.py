"""Containers for the predictions of many rows, one type per file."""
