"""How the model learns: one loop, and what it needs around it."""
