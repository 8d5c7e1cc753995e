"""Years of nights reduced again, and what changed against the former version of each spectrum."""
