"""The report of a run: what is worth showing (gather), drawn (figures, svg) and laid out (html)."""
