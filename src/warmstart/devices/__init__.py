"""Device and precision, processes that train together, and the memory allocator."""
