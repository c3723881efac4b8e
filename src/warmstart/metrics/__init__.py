"""Scores of predictions with confidence intervals. Uses numpy and scikit-learn, not torch."""
