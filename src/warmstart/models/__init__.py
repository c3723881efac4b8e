"""Pretrained checkpoints: find, load, describe and run them."""
