"""Years of nights reduced anew, and what changed against the former version of each spectrum."""
