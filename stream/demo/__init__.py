"""The whole way on embedded parts: train, serve, produce, watch labels arrive."""
