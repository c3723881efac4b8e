"""Cheap models that a trained model is compared with."""
