"""Baselines: simple predictors that a fine-tuned model has to beat."""
