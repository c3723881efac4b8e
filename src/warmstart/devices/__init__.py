"""Device and precision, distributed processes, and the memory allocator."""
