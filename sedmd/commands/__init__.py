"""The commands of the program: a file for each one, and what several of them share."""
