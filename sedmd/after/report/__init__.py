"""The report of a night and the trend over the nights."""
