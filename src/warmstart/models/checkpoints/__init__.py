"""Finding, reading and creating checkpoints."""
