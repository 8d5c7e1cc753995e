"""One observation of one target: the observer's placement and decision, and what is saved."""
