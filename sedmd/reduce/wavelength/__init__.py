"""Which wavelength falls on which column of which spectrum: lamps, dispersion, flexure."""
