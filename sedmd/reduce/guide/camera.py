"""The rainbow camera: where its filters are on the chip, and how its pixels lie on the sky."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from sedmd.reduce.numeric.containers import FloatArray

#: Scale [arcsec/px] (robot's configuration of 2022). East is at low columns and North at low rows: both CDELT of its
#: frames are negative, and by the moves into the filters no other sense puts a target into the named one.
SCALE_ARCSEC = 0.394
#: The chip's columns and rows. Filters beside the cross (columns 850 to 1250, rows 800 to 1250): there are the frames
#: of the filters, and the mirror that sends the light to the spectrograph.
SIZE = 2048
FILTERS: Mapping[str, tuple[slice, slice]] = {
    "g": (slice(0, 800), slice(0, 850)),
    "u": (slice(0, 800), slice(1250, SIZE)),
    "i": (slice(1250, SIZE), slice(0, 850)),
    "r": (slice(1250, SIZE), slice(1250, SIZE)),
}
#: Mean wavelengths of the filters [Angstrom] (SDSS).
FILTER_WAVELENGTH = {"u": 3560.0, "g": 4720.0, "r": 6190.0, "i": 7500.0}
#: Column and row (from 1, as FITS counts) where acquisition puts a target: CRPIX of its frames.
ACQUISITION_PIXEL = (1293.0, 1280.0)
#: From there to the spectrograph, arcsec East and North (since 2022-07; until 2020 (-98.5, -111.1)).
TO_SPECTROGRAPH = (-94.9, -118.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyScale:
    """Scale [arcsec/px] and turn [deg] of the camera on the sky."""

    scale_arcsec: float = SCALE_ARCSEC
    turn_deg: float = 0.0

    @property
    def matrix(self) -> FloatArray:
        """Columns and rows for arcsec East and North, (2, 2) px/arcsec."""
        angle = math.radians(self.turn_deg)
        cos, sin = math.cos(angle) / self.scale_arcsec, math.sin(angle) / self.scale_arcsec
        found: FloatArray = np.asarray([[-cos, sin], [-sin, -cos]])
        return found

    def pixels(self, offsets_arcsec: FloatArray) -> FloatArray:
        """Columns and rows, (n, 2), for arcsec East and North, (n, 2)."""
        found: FloatArray = np.asarray(offsets_arcsec, float) @ self.matrix.T
        return found

    def offsets(self, pixels: FloatArray) -> FloatArray:
        """Arcsec East and North, (n, 2), for columns and rows, (n, 2)."""
        found: FloatArray = np.asarray(pixels, float) @ np.linalg.inv(self.matrix).T
        return found

    def __str__(self) -> str:
        """``0.3941 -0.78``: as options and figures of a job carry it."""
        return f"{self.scale_arcsec:.4f} {self.turn_deg:+.2f}"

    @classmethod
    def of(cls, text: str) -> Self:
        """The scale of its text. Raises ValueError."""
        scale, turn = (float(part) for part in text.split())
        return cls(scale_arcsec=scale, turn_deg=turn)


def spectrograph_pixel() -> FloatArray:
    """Column and row (from 0) at which the spectrograph's field lies, as far as the published step tells, (2,)."""
    found: FloatArray = np.asarray(ACQUISITION_PIXEL) - 1.0 + SkyScale().pixels(-np.asarray([TO_SPECTROGRAPH]))[0]
    return found


def filters_of(x: FloatArray, y: FloatArray) -> np.ndarray:
    """Filter through which a pixel looks, (n,) text; empty on the cross."""
    found = np.full(len(x), "", "U1")
    for band, (rows, columns) in FILTERS.items():
        found[(x >= columns.start) & (x < columns.stop) & (y >= rows.start) & (y < rows.stop)] = band
    return found
