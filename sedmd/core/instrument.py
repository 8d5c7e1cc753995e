"""The SED Machine and the Palomar 60-inch in published numbers, each with its source.

Only numbers that are properties of the hardware are here. Everything that changes from night to night (trace positions,
dispersion, widths, read noise) is measured from the night itself; what is below is a first guess or a limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Shape of the image (rows, columns) of every camera; dispersion runs along the columns (e2v CCD 42-40).
CCD_SHAPE = (2048, 2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """Where the columns of an array as it is read come from.

    Attributes
    ----------
    image : (first, stop)
        Columns of the image, counted from 0; these are kept.
    scans : tuple of (first, stop)
        Columns that the amplifier reads without light: pre-scan and over-scan. Those within the image hold no data.
    """

    image: tuple[int, int]
    scans: tuple[tuple[int, int], ...]

    def no_data(self) -> tuple[tuple[int, int], ...]:
        """Columns of the kept image, counted from its first, that are scan columns."""
        first, stop = self.image
        inside = [(max(a, first) - first, min(b, stop) - first) for a, b in self.scans]
        return tuple((a, b) for a, b in inside if a < b)


#: Site of the 60-inch: latitude and East longitude [deg], height [m] (pysedm PALOMAR_COORDS).
LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M = 33.3563, -116.8648, 1712.0
#: Collecting area [cm2] and reflectance of the two aluminium mirrors (kpy Extractor, pysedm Eff).
TELESCOPE_AREA_CM2, MIRROR_REFLECTANCE = 18000.0, 0.82
#: Atmospheric pressure at the site [mbar] when the header has none (pysedm load_adr uses 630; 1712 m gives 824).
DEFAULT_PRESSURE_MBAR, DEFAULT_TEMPERATURE_C, DEFAULT_HUMIDITY = 824.0, 7.0, 0.4

#: Centre-to-centre distance of neighbouring spaxels on the sky [arcsec]: kpy's lattice steps are 0.637, 0.622 and
#: 0.610 (empirical distortion), pysedm's regular lattice 0.635 (2/sqrt(3) x 0.55).
SPAXEL_PITCH_ARCSEC = 0.627
#: The CCD seen on the sky where blue light falls on high columns: +x on the CCD is West, +y is South (kpy Cube:
#: X_as = -0.0125 dx, Y_as = -0.0122 dy).
CCD_TO_SKY = np.array([[-1.0, 0.0], [0.0, -1.0]])

#: Wavelengths every complete spaxel must hold [Angstrom]; kpy exports 3800-9200, pysedm 3700-9300.
FULL_RANGE = (3800.0, 9200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispersionGuess:
    """A published wavelength scale: a starting point for the search, stretched and bent until the lamps agree.

    Attributes
    ----------
    name : str
    wavelength : (n,) Angstrom in air, increasing
    column : (n,) column of the detector relative to 5461 Angstrom (blue light falls on higher columns)
    """

    name: str
    wavelength: np.ndarray
    column: np.ndarray


def _kpy_dispersion() -> DispersionGuess:
    """kpy's fiducial solution (Wavelength.py:fiducial_spectrum): wavelength [nm] as powers of the column."""
    column = np.arange(-6.0, 262.0, 2.0)
    nm = np.polynomial.polynomial.polyval(column, [1066.963, -5.829229, 0.01825482, -2.33659969e-5, -6.12127e-9])
    return _about_5461("kpy", 10.0 * nm[::-1], column[::-1])


def _pysedm_dispersion() -> DispersionGuess:
    """The quartic through pysedm's line table (wavesolution.py:LINES; u = (wavelength - 6500) / 2500)."""
    wavelength = np.arange(3600.0, 9301.0, 50.0)
    mu = np.polynomial.polynomial.polyval((wavelength - 6500) / 2500, [159.91, 86.97, -28.04, 11.31, -0.69])
    return _about_5461("pysedm", wavelength, -mu)


def _about_5461(name: str, wavelength: np.ndarray, column: np.ndarray) -> DispersionGuess:
    return DispersionGuess(name=name, wavelength=wavelength, column=column - np.interp(5460.74, wavelength, column))


#: Starting points for the wavelength solution, tried in turn.
DISPERSION_GUESSES = (_kpy_dispersion(), _pysedm_dispersion())


def _product_grid() -> np.ndarray:
    """One bin per column of kpy's fiducial solution, 3600 to 9950 Angstrom."""
    column = np.arange(250.0, 12.5, -1.0)
    found: np.ndarray = 10.0 * np.polynomial.polynomial.polyval(
        column, [1066.963, -5.829229, 0.01825482, -2.33659969e-5, -6.12127e-9]
    )
    return found


#: Wavelengths of all cubes and spectra [Angstrom, air], the same for every night: about one native column per bin, so
#: that neither resolution nor independence of the samples is lost.
WAVELENGTH_GRID = _product_grid()
