"""Everything that happens before weights are loaded: read, split, learn, encode."""
