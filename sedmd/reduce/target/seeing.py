"""What the image of a star looks like: as wide as is usual, or as a standard star of the night tells; and round."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: Spread of a star's FWHM about the usual one [arcsec].
USUAL_SPREAD = 0.5
#: A star of the same night tells the FWHM of another exposure with this spread, in units of it: the seeing changes
#: within the hour, and a long exposure holds the errors of the guiding that a short one has not.
NIGHT_SPREAD = 0.2
#: How often that does not hold, and the spread of those [arcsec].
SURPRISE, SURPRISE_SPREAD = 0.1, 0.5
#: Spread of each ellipticity component of stars: guiding and focus.
STAR_ELLIPTICITY = 0.08
#: Error of what was not measured.
UNKNOWN = 10.0
#: Wings of an image: Moffat exponent and its spread, as is usual (Trujillo et al. 2001), and its spread when a star of
#: the night tells it: turbulence gives images of one form, whatever their width (Fried 1966), so that one parameter
#: serves for all images of a site (Buton et al. 2013, for SNIFS).
USUAL_BETA, USUAL_BETA_SPREAD, NIGHT_BETA_SPREAD = 3.2, 0.6, 0.15
#: Growth of the seeing with airmass (Fried 1966: a Kolmogorov spectrum of turbulence).
AIRMASS_POWER = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Of an image, as measured.

    Attributes
    ----------
    fwhm_arcsec, fwhm_error : float
        At the reference wavelength.
    e1, e2, e_error : float
        Ellipticity components (see `Psf`), and the error of each.
    """

    fwhm_arcsec: float
    fwhm_error: float = 0.0
    e1: float = 0.0
    e2: float = 0.0
    e_error: float = UNKNOWN

    def roundness(self, spread: float) -> float:
        """Density of measuring these ellipticity components where they are spread so about 0."""
        both = math.hypot(spread, self.e_error)
        return normal(self.e1, both) * normal(self.e2, both)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """What is known of a star's image before it is measured.

    Attributes
    ----------
    fwhm_arcsec : float
        At the reference wavelength.
    spread_arcsec : float
    beta, beta_spread : float
        Moffat exponent of its wings.
    """

    fwhm_arcsec: float = 1.8
    spread_arcsec: float = USUAL_SPREAD
    beta: float = USUAL_BETA
    beta_spread: float = USUAL_BETA_SPREAD

    def with_wings(self, beta: float | None) -> Seeing:
        """The same with the wings of a star of the night; as it is where they are not known."""
        return self if beta is None else replace(self, beta=beta, beta_spread=NIGHT_BETA_SPREAD)

    def density(self, shape: Shape) -> float:
        """Probability density of measuring this shape of a star, 1 / arcsec."""
        off, error = shape.fwhm_arcsec - self.fwhm_arcsec, shape.fwhm_error
        wide = max(self.spread_arcsec, SURPRISE_SPREAD)
        usual, odd = (normal(off, math.hypot(spread, error)) for spread in (self.spread_arcsec, wide))
        return ((1 - SURPRISE) * usual + SURPRISE * odd) * shape.roundness(STAR_ELLIPTICITY)


def seeing_by_star(fwhm_arcsec: float, airmass: float, *, at_airmass: float) -> Seeing:
    """The seeing of an exposure, from the image of a star in another exposure of the night.

    Parameters
    ----------
    fwhm_arcsec, airmass : float
        Of the star.
    at_airmass : float
        Of the exposure.

    Raises
    ------
    ValueError
        A width that is not above 0, an airmass below 1.

    Notes
    -----
    The air's part of an image grows with airmass; that of telescope, dome, guiding and spaxels does not, and their
    shares are not known. What is expected lies midway between the width if it were all air and the width as it is; half
    the way between them is uncertainty. A star far from the zenith so tells little of a target near it.
    """
    if not (fwhm_arcsec > 0 and airmass >= 1 and at_airmass >= 1):
        raise ValueError(
            f"a star of FWHM {fwhm_arcsec} arcsec at airmass {airmass} cannot be scaled to airmass {at_airmass}; "
            "expected a width above 0 and airmasses from 1"
        )
    all_air = fwhm_arcsec * (at_airmass / airmass) ** AIRMASS_POWER
    fwhm, uncertainty = (fwhm_arcsec + all_air) / 2, abs(fwhm_arcsec - all_air) / 2
    return Seeing(fwhm_arcsec=fwhm, spread_arcsec=math.hypot(NIGHT_SPREAD * fwhm, uncertainty))


def normal(distance: float, spread: float) -> float:
    """Density of a normal distribution at a distance from its middle."""
    return math.exp(-0.5 * (distance / spread) ** 2) / (math.sqrt(2 * math.pi) * spread)
