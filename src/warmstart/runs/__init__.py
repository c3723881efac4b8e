"""The run directory: the files of one training run, written and read."""
