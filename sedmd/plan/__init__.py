"""What is due, what waits and for what: pure functions of frames, products, clock and settings."""
