"""Recording and display during training: events, progress, samples, environment."""
