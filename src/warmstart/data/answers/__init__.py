"""Questions about a text, and their answers, which are spans of it."""
