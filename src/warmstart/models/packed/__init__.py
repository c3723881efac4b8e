"""Packed execution: running models on real tokens only, without padding."""
