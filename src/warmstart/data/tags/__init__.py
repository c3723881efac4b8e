"""Word tags and spans: tag schemes, CoNLL files, span exports, word alignment and windows."""
