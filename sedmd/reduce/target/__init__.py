"""The target in the cube: where it is, its image, its spectrum, and how far that can be trusted."""
