"""Predictions and generated texts from a trained model."""
