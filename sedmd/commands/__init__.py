"""The verbs of the command line, a file for each kind: what runs, what asks, what acts, what rehearses."""
