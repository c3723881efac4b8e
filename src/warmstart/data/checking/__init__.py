"""What is checked and counted in the data before training."""
