"""The tests mirror ``src/warmstart``; a package, so that one may import another's tiny models."""
