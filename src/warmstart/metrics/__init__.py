"""What a set of answers is worth, with its interval: numpy and scikit-learn, no torch."""
