"""From the user's files to batches: read, split, check, tokenise, group."""
