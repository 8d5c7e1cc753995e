"""A raw frame: from its bytes and cards to what it is, when and of what it was taken, and what belongs together."""
