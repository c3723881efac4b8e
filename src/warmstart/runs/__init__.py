"""The run directory: what one training run leaves on disk, and reading it back."""
