"""What a night saw of the sky's light against the dome's, as a FITS table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.products.fitsio import Cards, add_cards
from sedmd.products.provenance import Provenance
from sedmd.products.solution import spaxel_columns
from sedmd.products.tables import Column, write_table
from sedmd.reduce.cube.sky_pattern import NightPattern
from sedmd.reduce.numeric.containers import Spaxels


def write_sky_flat(
    path: Path, pattern: NightPattern | None, spaxels: Spaxels, *, cards: Cards, provenance: Provenance | None = None
) -> str:
    """Write ``sky-flat.fits``: TABLE with a row per spaxel; without a pattern nothing is known of any."""
    n = len(spaxels.ident)
    value, error = (np.full(n, np.nan), np.full(n, np.inf)) if pattern is None else (pattern.value, pattern.error)
    columns = [
        *spaxel_columns(spaxels),
        Column(name="VALUE", array=value, comment="the sky's light by the dome's flat alone, mean 1"),
        Column(name="ERROR", array=np.where(np.isfinite(error), error, np.nan), comment="1 sigma; empty: not seen"),
    ]
    header = fits.Header()
    add_cards(header, cards)
    return write_table(path, columns, header, provenance=provenance)
