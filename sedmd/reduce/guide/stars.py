"""The stars of a field as a table gives them, and their magnitudes in the camera's filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import FloatArray

#: G minus the magnitude in g, r, i (SDSS) as powers of BP - RP, the colours for which that holds, and the scatter of
#: a star about it [mag]: Gaia EDR3 documentation, section 5.5.1, table 5.7 (Riello et al. 2021, A&A 649, A3).
FROM_GAIA = {
    "g": ((0.2199, -0.6365, -0.1548, 0.0064), (0.3, 3.0), 0.075),
    "r": ((-0.09837, 0.08592, 0.1907, -0.1701, 0.02263), (0.0, 3.0), 0.038),
    "i": ((-0.293, 0.6404, -0.09609, -0.002104), (0.5, 2.0), 0.041),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldStars:
    """Stars of a field, the brightest first, at the epoch of the observation.

    Attributes
    ----------
    ra_deg, dec_deg : (n,) degrees
    g_mag : (n,) Gaia's G, mag
    bp_rp : (n,) Gaia's BP - RP, mag; NaN where it is not known
    """

    ra_deg: FloatArray
    dec_deg: FloatArray
    g_mag: FloatArray
    bp_rp: FloatArray

    def __len__(self) -> int:
        return len(self.ra_deg)

    def part(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> FieldStars:
        """Some of the stars, by mask or by index."""
        return FieldStars(
            ra_deg=self.ra_deg[chosen],
            dec_deg=self.dec_deg[chosen],
            g_mag=self.g_mag[chosen],
            bp_rp=self.bp_rp[chosen],
        )

    def magnitudes(self, band: str) -> FloatArray:
        """Magnitudes (AB) in g, r or i, (n,); NaN for a star of unknown colour, or of one that the formula lacks."""
        powers, (low, high), _ = FROM_GAIA[band]
        colour = np.where((self.bp_rp >= low) & (self.bp_rp <= high), self.bp_rp, np.nan)
        found: FloatArray = self.g_mag - np.polynomial.polynomial.polyval(colour, powers)
        return found
