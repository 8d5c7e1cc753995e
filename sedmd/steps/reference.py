"""Reference tables in the form that the reduction wants them: lamp lines, features of the night sky."""

from __future__ import annotations

import numpy as np

from sedmd.data.lines import airglow_spectrum, lamp_lines
from sedmd.reduce.wavelength.arcs import Lines
from sedmd.reduce.wavelength.flexure import SkyFeature

#: Range in which lamp lines can be of use [Angstrom].
LAMP_RANGE = (3550.0, 9950.0)
#: Bands of OH whose shape hardly changes from night to night, as windows of the fit [Angstrom].
OH_BANDS = ((7210.0, 7560.0), (7690.0, 8130.0), (8230.0, 8560.0), (8700.0, 9100.0))


def lamp_tables(lamps: tuple[str, ...] = ("Hg", "Cd", "Xe")) -> dict[str, Lines]:
    """Line lists of the lamps within the range of the detector."""
    tables = {}
    for lamp in lamps:
        wavelength, intensity = lamp_lines(lamp)
        inside = (wavelength > LAMP_RANGE[0]) & (wavelength < LAMP_RANGE[1])
        tables[lamp] = Lines(wavelength=wavelength[inside], intensity=intensity[inside])
    return tables


def sky_features() -> tuple[SkyFeature, ...]:
    """What flexure is measured on: atomic lines, whose wavelengths are known, and bands of OH, whose shape is typical.

    The uncertainties are what the shape leaves open: none for a single line; the ratio of the sodium doublet changes
    between mesosphere and street lamps; [O I] 6300 stands among OH and O2 and comes out 0.1-0.4 columns to the blue of
    what 5577 says in every night seen so far; OH bands change with the temperature of the upper atmosphere.

    The windows end before the lines of street lamps, Hg 5461, 5770 and 5791, Na 5683, 5688, 6154 and 6161 (Osterbrock
    & Martel 1992): a bump at one end tilts the floor that is fitted, and a tilted floor moves the line.
    """
    wavelength, energy = airglow_spectrum()
    photons = energy * wavelength
    features = [
        SkyFeature(
            name="OI 5577",
            wavelength=np.array([5577.34]),
            intensity=np.array([1.0]),
            low=5490.0,
            high=5660.0,
            uncertainty_px=0.02,
        ),
        SkyFeature(
            name="Na D",
            wavelength=np.array([5889.95, 5895.92]),
            intensity=np.array([1.7, 1.0]),
            low=5800.0,
            high=6000.0,
            uncertainty_px=0.15,
        ),
        SkyFeature(
            name="OI 6300",
            wavelength=np.array([6300.30, 6363.78]),
            intensity=np.array([3.0, 1.0]),
            low=6200.0,
            high=6440.0,
            uncertainty_px=0.25,
        ),
    ]
    for low, high in OH_BANDS:
        inside = (wavelength > low - 60) & (wavelength < high + 60)
        features.append(
            SkyFeature(
                name=f"OH {0.5 * (low + high):.0f}",
                wavelength=wavelength[inside],
                intensity=photons[inside],
                low=low,
                high=high,
                uncertainty_px=0.5,
            )
        )
    return tuple(features)
