"""The target in the cube: where it is, its image, its spectrum, and the confidence in it."""
