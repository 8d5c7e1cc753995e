"""Types of spectra, by programs that compare them with templates."""
