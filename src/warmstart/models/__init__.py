"""Pretrained checkpoints: finding, loading, describing and running them."""
