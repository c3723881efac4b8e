"""Which weights are trained: freezing, adapters, rates per layer, compact vocabulary."""
