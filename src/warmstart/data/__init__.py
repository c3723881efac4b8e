"""From a person's file to batches: read, split, check, tokenise, group."""
