"""From table rows to tokenised examples and batches."""
