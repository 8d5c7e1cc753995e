"""Spectral lines to hold against a spectrum, in air [Angstrom].

Laboratory wavelengths of the NIST Atomic Spectra Database; a blend has the mean of its members by strength. Lines of
the ejecta are shifted by their expansion too: an absorption that forms at 10000 km/s towards us is seen that much to
the blue of the redshift of the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sedmd.reduce.numeric.containers import Spectrum

#: Speed of light [km/s].
LIGHT_KM_S = 299792.458
#: A redshift outside of this is not offered for a line.
REDSHIFTS = (-0.01, 2.0)
#: A feature is looked for so far from a click, and its continuum so far [Angstrom].
FEATURE_REACH, CONTINUUM_REACH = 75.0, 200.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its name, its wavelength at rest, and whether it forms in what expands."""

    name: str
    wavelength: float
    moves: bool = False


BALMER = (Line("Hα", 6562.8), Line("Hβ", 4861.3), Line("Hγ", 4340.5), Line("Hδ", 4101.7))
NEBULAR = (
    Line("[O II]", 3727.4),
    Line("[O III]", 4958.9),
    Line("[O III]", 5006.8),
    Line("[N II]", 6583.5),
    Line("[S II]", 6723.5),
)
OLD_STARS = (Line("K", 3933.7), Line("H", 3968.5), Line("G", 4304.4), Line("Mg b", 5175.4), Line("Na D", 5891.9))
#: Of young supernovae, tidal disruptions and novae.
HOT = (Line("He II", 4685.7), Line("N III", 4640.6), Line("C IV", 5801.3), Line("N IV", 7115.0))
HYDROGEN = tuple(replace(line, moves=True) for line in BALMER)
HELIUM = (Line("He I", 5875.6, True), Line("He I", 6678.2, True), Line("He I", 7065.2, True))
CALCIUM = (Line("Ca II", 3945.3, True), Line("Ca II", 8579.1, True))
IRON = (Line("Fe II", 4923.9, True), Line("Fe II", 5018.4, True), Line("Fe II", 5169.0, True))
OXYGEN = (Line("O I", 7774.2, True),)
SILICON = (Line("Si II", 6355.0, True), Line("Si II", 5972.0, True), Line("Si II", 4130.0, True))
SULPHUR = (Line("S II", 5454.0, True), Line("S II", 5640.0, True))
CARBON = (Line("C II", 6580.5, True),)
MAGNESIUM = (Line("Mg II", 4481.2, True),)
SODIUM = (Line("Na I", 5891.9, True),)

#: Sets to go through by key; the first is none, the last all.
SETS: tuple[tuple[str, tuple[Line, ...]], ...] = (
    ("no lines", ()),
    ("H and host", BALMER + NEBULAR),
    ("host, old stars", OLD_STARS),
    ("SN Ia", SILICON + SULPHUR + CALCIUM + IRON[1:] + OXYGEN + MAGNESIUM + CARBON),
    ("SN Ib, Ic", HELIUM + OXYGEN + CALCIUM + IRON + SILICON[:1]),
    ("SN II", HYDROGEN + HELIUM[:1] + SODIUM + IRON + CALCIUM + OXYGEN),
    ("flash, TDE", HOT + BALMER + HELIUM[:1]),
    (
        "all lines",
        BALMER
        + NEBULAR
        + OLD_STARS
        + HOT
        + HYDROGEN
        + HELIUM
        + CALCIUM
        + IRON
        + OXYGEN
        + SILICON
        + SULPHUR
        + CARBON
        + MAGNESIUM
        + SODIUM,
    ),
)


def blueshift(velocity_km_s: float) -> float:
    """Factor on the wavelength of what comes towards us so fast (relativistic Doppler effect)."""
    beta = velocity_km_s / LIGHT_KM_S
    return float(np.sqrt((1 - beta) / (1 + beta)))


def seen_at(line: Line, redshift: float, velocity_km_s: float = 0.0) -> float:
    """Where a line is observed [Angstrom]."""
    return line.wavelength * (1 + redshift) * (blueshift(velocity_km_s) if line.moves else 1.0)


def shifted(lines: Sequence[Line], redshift: float, velocity_km_s: float = 0.0) -> list[tuple[str, float]]:
    """Name and observed wavelength of each line, once where two sets name the same place."""
    return list(dict.fromkeys((line.name, seen_at(line, redshift, velocity_km_s)) for line in lines))


def redshift_of(line: Line, wavelength: float, velocity_km_s: float = 0.0) -> float:
    """Redshift at which a line is observed at a wavelength."""
    return wavelength / seen_at(line, 0.0, velocity_km_s) - 1


def possible(lines: Sequence[Line], wavelength: float, velocity_km_s: float = 0.0) -> list[tuple[Line, float]]:
    """Which lines a feature may be, and the redshift of each, the bluest line first."""
    found: dict[tuple[str, float], tuple[Line, float]] = {}
    for line in lines:
        z = redshift_of(line, wavelength, velocity_km_s)
        if REDSHIFTS[0] <= z <= REDSHIFTS[1]:
            found.setdefault((line.name, round(z, 6)), (line, z))  # without expansion host and ejecta say the same
    return sorted(found.values(), key=lambda one: one[0].wavelength)


def feature_at(spectrum: Spectrum, wavelength: float) -> float:
    """Middle of the emission or absorption about a wavelength [Angstrom]; the wavelength itself where there is none.

    The light above or below a straight continuum, half its peak and more, weighs.
    """
    around = np.abs(spectrum.wavelength - wavelength) <= CONTINUUM_REACH
    use = around & np.isfinite(spectrum.flux) & np.isfinite(spectrum.error)
    x, flux, error = spectrum.wavelength[use], spectrum.flux[use], spectrum.error[use]
    inner = np.abs(x - wavelength) <= FEATURE_REACH
    if inner.sum() < 3 or (~inner).sum() < 4:
        return wavelength
    slope, level = np.polyfit(x[~inner] - wavelength, flux[~inner], 1)
    excess = flux - (level + slope * (x - wavelength))
    at = int(np.flatnonzero(inner)[np.argmax(np.abs(excess[inner]))])
    if np.abs(excess[at]) < 3 * np.median(error):
        return wavelength
    height = excess / excess[at]
    low = high = at
    while low > 0 and height[low - 1] >= 0.5:
        low -= 1
    while high < len(x) - 1 and height[high + 1] >= 0.5:
        high += 1
    weight = height[low : high + 1]
    return float(np.sum(weight * x[low : high + 1]) / weight.sum())


def label_rows(places: Sequence[float], widths: Sequence[float], rows: int) -> list[int | None]:
    """A row for each label so that none covers another; None for one that has no room in any.

    Parameters
    ----------
    places, widths : sequences of float
        Left end and width of each label, pixels, by ascending place.
    rows : int
        How many there are.
    """
    free = [-float("inf")] * rows
    chosen: list[int | None] = []
    for place, width in zip(places, widths, strict=True):
        row = next((number for number, end in enumerate(free) if place >= end), None)
        if row is not None:
            free[row] = place + width
        chosen.append(row)
    return chosen
