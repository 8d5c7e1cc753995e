"""Products on disk: FITS in and out with provenance, the cube, the spectrum (FITS, ASCII, PDF), plots.

Every file is written whole or not at all, and holds no time stamp, host, user or directory: the same inputs give the
same bytes, so that a checksum proves a repetition. When a product was made stands in the ledger.
"""
