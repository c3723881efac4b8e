"""A trained model's scores on a table, and the baselines that stand beside them."""
