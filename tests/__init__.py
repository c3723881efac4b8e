"""The tests mirror ``src/warmstart``; a package, so that tests can import each other's helpers."""
