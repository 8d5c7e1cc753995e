"""What the service remembers, in one SQLite file, and the journals from which it can be made again."""
