"""The web page of a night and the index of nights."""
