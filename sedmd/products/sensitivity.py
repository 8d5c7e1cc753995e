"""The night's sensitivity as a FITS table; apart from the geometry, which whoever shows a spectrum need not load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.products.fitsio import Cards, add_cards
from sedmd.products.provenance import Provenance
from sedmd.products.tables import Column, read_table, table_hdu, write_table
from sedmd.reduce.flux.sensitivity import Sensitivity


def write_sensitivity(path: Path, s: Sensitivity, *, cards: Cards, provenance: Provenance | None = None) -> str:
    """Write ``std-correction.fits``: TABLE (a row per wavelength) and STARS (a row per standard)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = 1.0 / s.value
    own: list[Column] = []
    if s.earlier and s.own_value is not None and s.own_error is not None:
        own = [
            Column(name="OWNVALUE", array=s.own_value, unit="electron cm2 / erg", comment="by its own stars alone"),
            Column(name="OWNERR", array=s.own_error, comment="fractional 1 sigma of its shape"),
        ]
    columns = [
        Column(name="WAVELENGTH", array=s.wavelength, unit="Angstrom", comment="in air"),
        Column(name="SENSITIVITY", array=s.value, unit="electron cm2 / erg", comment="electron/s/A per erg/s/cm2/A"),
        Column(name="CORRECTION", array=correction, unit="erg / (electron cm2)", comment="its inverse"),
        Column(name="ERROR", array=s.error, comment="fractional 1 sigma of the mean"),
        Column(name="SCATTER", array=s.scatter, comment="fractional rms between the stars"),
        Column(name="FLOOR", array=s.floor, comment="systematic fractional error"),
        Column(name="TELLURIC", array=s.telluric, comment="optical depth of the bands at airmass 1"),
        *own,
    ]
    stars = table_hdu(
        [
            Column(name="STAR", array=np.array(s.stars), comment="exposure of a standard"),
            Column(name="SCALE", array=np.array(s.scales), comment="brightness relative to the adopted level"),
        ],
        name="STARS",
    )
    header = fits.Header()
    add_cards(header, cards)
    return write_table(path, columns, header, [stars], provenance=provenance)


def read_sensitivity(path: Path) -> Sensitivity:
    """Read ``std-correction.fits``."""
    table = read_table(path)
    stars = table.extra["STARS"].data
    return Sensitivity(
        wavelength=table["WAVELENGTH"],
        value=table["SENSITIVITY"],
        error=table["ERROR"],
        telluric=table["TELLURIC"],
        stars=tuple(str(s) for s in stars["STAR"]),
        scales=tuple(float(s) for s in stars["SCALE"]),
        scatter=table["SCATTER"],
        floor=table["FLOOR"],
    )
