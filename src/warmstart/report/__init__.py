"""The report of a run: its content (``gather``), its figures (figures, svg), its page (html)."""
