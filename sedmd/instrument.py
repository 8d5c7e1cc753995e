"""The SED Machine and the Palomar 60-inch in published numbers, each with its source.

Only numbers that are properties of the hardware stand here. Whatever changes from night to night (trace positions,
dispersion, widths, read noise) is measured from the night itself; what is below serves as a first guess or a limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Shape of an IFU frame (rows, columns); dispersion runs along the columns (kpy, pysedm: 2048 x 2048 e2v CCD 42-40).
CCD_SHAPE = (2048, 2048)
#: First of the overscan columns at the right edge of a frame read by the PIXIS camera (kpy Debias).
OVERSCAN_FIRST_COLUMN = 2045
#: Electrons per ADU assumed when a frame has no GAIN card (kpy Debias).
DEFAULT_GAIN = 1.8
#: ADU at and above which a pixel is not linear any more (kpy SExtractor configuration); the ADC ends at 65535.
SATURATION_ADU = 50000.0

#: Site of the 60-inch: latitude and East longitude [deg], height [m] (pysedm PALOMAR_COORDS).
LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M = 33.3563, -116.8648, 1712.0
#: Collecting area [cm2] and reflectance of the two aluminium mirrors (kpy Extractor, pysedm Eff).
TELESCOPE_AREA_CM2, MIRROR_REFLECTANCE = 18000.0, 0.82
#: Atmospheric pressure at the site [mbar] when the header has none (pysedm load_adr uses 630; 1712 m gives 824).
DEFAULT_PRESSURE_MBAR, DEFAULT_TEMPERATURE_C, DEFAULT_HUMIDITY = 824.0, 7.0, 0.4

#: Centre-to-centre distance of neighbouring spaxels on the sky [arcsec]: kpy's lattice steps are 0.637, 0.622 and
#: 0.610 (empirical distortion), pysedm's regular lattice 0.635 (2/sqrt(3) x 0.55).
SPAXEL_PITCH_ARCSEC = 0.627
#: The CCD seen on the sky: +x on the CCD is West, +y is South (kpy Cube: X_as = -0.0125 dx, Y_as = -0.0122 dy).
CCD_TO_SKY = np.array([[-1.0, 0.0], [0.0, -1.0]])

#: Wavelengths every complete spaxel must hold [Angstrom]; kpy exports 3800-9200, pysedm 3700-9300.
FULL_RANGE = (3800.0, 9200.0)
#: Range over which the flux calibration is promised [Angstrom].
SCIENCE_RANGE = (4000.0, 9000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DispersionGuess:
    """A published wavelength scale: a starting point for the search, scaled and bent until the lamps agree.

    Attributes
    ----------
    name : str
    pixel, wavelength : pixels from an arbitrary origin (increasing column) and Angstrom (air) there
    """

    name: str
    pixel: tuple[float, ...]
    wavelength: tuple[float, ...]


#: Line offsets from 546.1 nm seen on real frames, in columns (kpy, Wavelength.py fit_*_lines; table of kpy-facts 2.2),
#: with the fiducial polynomial filling the ends; and pysedm's LINES table (b.1/b.2), column = -mu.
DISPERSION_GUESSES = (
    DispersionGuess(
        name="kpy",
        pixel=(-126.3, -106.5, -90.5, -74.6, -42.8, -18.3, -13.9, 0.0, 18.3, 33.9, 41.0, 61.0, 82.0, 109.5),
        wavelength=(
            10000.0, 9200.0, 8280.0, 7640.0, 6563.0, 5890.0, 5780.0, 5461.0, 5086.0, 4800.0, 4678.0, 4358.0, 4047.0,
            3650.0,
        ),
    ),
    DispersionGuess(
        name="pysedm",
        pixel=(-116.0, -107.0, -77.0, -40.0, -14.0, 0.0, 18.0, 34.0, 41.0, 60.0, 82.0, 110.0),
        wavelength=(
            9165.0, 8822.0, 7642.0, 6438.0, 5780.0, 5461.0, 5086.0, 4800.0, 4678.0, 4358.0, 4047.0, 3650.0,
        ),
    ),
)
