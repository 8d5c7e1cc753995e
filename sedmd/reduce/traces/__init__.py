"""Where the spectra lie on the detector, their profiles, the light between them, and their extraction."""
