"""A trained model's scores on a table, and the scores of the baselines."""
