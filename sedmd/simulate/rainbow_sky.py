"""The sky that the rainbow camera sees: stars with proper motions and colours, some in no catalogue, asteroids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: Epoch of the catalogue's positions; Julian year.
EPOCH = 2016.0
#: Stars are drawn this far from the target [arcsec]: the corner of the chip.
RADIUS = 720.0
#: Stars brighter than G = 17 on a square degree away from the plane, and by how much more there are for a magnitude
#: (star counts of Bahcall & Soneira 1980 at high latitude, rounded); the faintest and brightest that are drawn.
DENSITY, PER_MAGNITUDE, FAINTEST, BRIGHTEST = 800.0, 10.0**0.25, 20.0, 9.0
#: G minus magnitude as powers of BP - RP and the scatter of a star about it: Gaia EDR3 documentation, 5.5.1.
FROM_G = {
    "g": ((0.2199, -0.6365, -0.1548, 0.0064), 0.075),
    "r": ((-0.09837, 0.08592, 0.1907, -0.1701, 0.02263), 0.038),
    "i": ((-0.293, 0.6404, -0.09609, -0.002104), 0.041),
}
#: The catalogue lacks this share of the stars, and all fainter ones.
LACKING, CATALOGUE_FAINTEST = 0.03, 19.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStar:
    """A star of a frame: East and North of the target [arcsec, tangent plane], and its magnitudes by filter."""

    east: float
    north: float
    magnitudes: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldSky:
    """All that shines about a target.

    Attributes
    ----------
    ra, dec : float
        Of the target, degrees.
    east, north : (n,) arcsec at `EPOCH`
    pm_east, pm_north : (n,) mas/year
    g_mag, bp_rp : (n,)
    magnitudes : by filter, (n,)
    known : (n,) bool
        The catalogue has it.
    asteroids : (m, 6): East and North [arcsec] at the start of the exposure, arcsec/minute East and North, r, g - r
    """

    ra: float
    dec: float
    east: np.ndarray
    north: np.ndarray
    pm_east: np.ndarray
    pm_north: np.ndarray
    g_mag: np.ndarray
    bp_rp: np.ndarray
    magnitudes: dict[str, np.ndarray]
    known: np.ndarray
    asteroids: np.ndarray

    def at(self, year: float, *, minutes: float = 0.0) -> list[FieldStar]:
        """Everything where it is at a time; the asteroids so many minutes after the start of the exposure."""
        years = (year - EPOCH) / 1000.0
        east, north = self.east + self.pm_east * years, self.north + self.pm_north * years
        stars = [
            FieldStar(
                east=float(east[k]),
                north=float(north[k]),
                magnitudes={band: float(values[k]) for band, values in self.magnitudes.items()},
            )
            for k in range(len(east))
        ]
        for e, n, e_rate, n_rate, r, colour in self.asteroids:
            magnitudes = {"r": r, "g": r + colour, "i": r - 0.2, "u": r + colour + 1.5}
            stars.append(FieldStar(east=e + e_rate * minutes, north=n + n_rate * minutes, magnitudes=magnitudes))
        return stars

    def catalogue(self) -> np.ndarray:
        """Rows of ra, dec [degrees], pmra, pmdec [mas/year], G, BP - RP, the epoch: as the Gaia archive has them."""
        chosen = self.known
        ra, dec = _directions(self.ra, self.dec, self.east[chosen], self.north[chosen])
        columns = (ra, dec, self.pm_east[chosen], self.pm_north[chosen], self.g_mag[chosen], self.bp_rp[chosen])
        return np.column_stack([*columns, np.full(chosen.sum(), EPOCH)])


def _directions(ra: float, dec: float, east: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions [degrees] of offsets on the tangent plane at a point [arcsec]."""
    x, y = np.deg2rad(east / 3600.0), np.deg2rad(north / 3600.0)
    d0 = np.deg2rad(dec)
    across = np.cos(d0) - y * np.sin(d0)
    return (
        (ra + np.rad2deg(np.arctan2(x, across))) % 360.0,
        np.rad2deg(np.arctan2(np.sin(d0) + y * np.cos(d0), np.hypot(x, across))),
    )


@lru_cache(maxsize=4)
def field_sky(ra: float, dec: float, *, seed: int, crowding: float | None = None) -> FieldSky:
    """The sky about a target; the same for each look at it.

    Parameters
    ----------
    ra, dec : degrees
    seed : of the night
    crowding : stars in units of `DENSITY`; by default drawn: one field in six is crowded, one almost empty
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 609, round(ra * 1e5), round((dec + 90.0) * 1e5)]))
    kind = rng.random()
    usual = 10.0 ** (0.2 * rng.standard_normal())
    if crowding is None:
        crowding = usual * (8.0 if kind < 1 / 6 else 0.08 if kind > 5 / 6 else 1.0)
    area = np.pi * (RADIUS / 3600.0) ** 2
    count = rng.poisson(crowding * DENSITY * area * PER_MAGNITUDE ** (FAINTEST - 17.0))
    share = rng.random(count)
    faint = np.maximum(FAINTEST + np.log(np.maximum(share, 1e-12)) / np.log(PER_MAGNITUDE), BRIGHTEST)
    radius, angle = RADIUS * np.sqrt(rng.random(count)), rng.uniform(0.0, 2.0 * np.pi, count)
    colour = np.clip(0.95 + 0.4 * rng.standard_normal(count), 0.25, 2.6)
    motion = rng.standard_normal((2, count)) * np.where(rng.random(count) < 0.05, 120.0, 10.0)
    magnitudes = {
        band: faint - np.polynomial.polynomial.polyval(colour, powers) + scatter * rng.standard_normal(count)
        for band, (powers, scatter) in FROM_G.items()
    }
    magnitudes["u"] = magnitudes["g"] + 0.8 + 0.7 * colour + 0.15 * rng.standard_normal(count)
    moving = rng.poisson(0.5)
    places = rng.uniform(-400.0, 400.0, (moving, 2))
    rates = 0.5 * rng.standard_normal((moving, 2))
    asteroids = np.column_stack([places, rates, rng.uniform(15.0, 19.0, moving), rng.uniform(0.4, 0.7, moving)])
    return FieldSky(
        ra=ra,
        dec=dec,
        east=radius * np.sin(angle),
        north=radius * np.cos(angle),
        pm_east=motion[0],
        pm_north=motion[1],
        g_mag=faint,
        bp_rp=colour,
        magnitudes=magnitudes,
        known=(rng.random(count) > LACKING) & (faint < CATALOGUE_FAINTEST),
        asteroids=asteroids,
    )
