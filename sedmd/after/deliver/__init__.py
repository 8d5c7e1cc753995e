"""Spectra and reports on their way: receivers, mail, alerts, and the record of what was sent."""
