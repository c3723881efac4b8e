"""Which weights train: freezing, adapters, rates per layer, compact vocabulary."""
