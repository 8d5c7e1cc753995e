"""From samples on the detector to a cube on one wavelength grid, and the flat of its spaxels."""
