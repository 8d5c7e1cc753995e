"""What all of the reduction stands on: its data classes, compiled loops, smooth functions of the field."""
