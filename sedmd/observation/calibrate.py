"""From electrons to flux: one spectrum with one flux calibration, the night's own or an earlier one's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sedmd.data.extinction import extinction_mag
from sedmd.observation.inputs import FluxSource
from sedmd.observation.meta import airmass_or_assumed
from sedmd.products.fitsio import card_value, primary_header
from sedmd.products.guide import LEVEL, zero_points_in
from sedmd.products.sensitivity import read_sensitivity
from sedmd.reduce.flux.sensitivity import Sensitivity, calibrate, calibration_error
from sedmd.reduce.guide.brightness import GreyFactor, ZeroPoints, grey_factor
from sedmd.reduce.numeric.containers import FloatArray, Spectrum

CALIBRATED = "erg / (s cm2 Angstrom)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A flux calibration that was read: where from, the sensitivity; and for one observation what its clouds took.

    Attributes
    ----------
    source : FluxSource
    sensitivity : Sensitivity
    grey : GreyFactor or None
        From this observation to the sky of the calibration, by field stars; None where these do not tell.
    """

    source: FluxSource
    sensitivity: Sensitivity
    grey: GreyFactor | None = None

    def covers(self, wavelength: FloatArray) -> bool:
        """Whether it is on this grid, (n_wave,) Angstrom."""
        return np.array_equal(self.sensitivity.wavelength, wavelength)


def read_calibration(source: FluxSource, points: ZeroPoints | None = None) -> Calibration:
    """Read a flux calibration, for an observation whose field stars gave these zero points.

    Raises
    ------
    ProductFault, OSError
    """
    sensitivity = read_sensitivity(source.path)
    if not points:
        return Calibration(source=source, sensitivity=sensitivity)
    header = primary_header(source.path)
    cards = {key: card_value(header, key) for key in header if key}
    grey = grey_factor(points, zero_points_in(cards, begin=LEVEL))
    return Calibration(source=source, sensitivity=sensitivity, grey=grey)


def greyed(spectrum: Spectrum, factor: GreyFactor | None) -> Spectrum:
    """A calibrated spectrum as the standard star's sky would have shown it; the same where no field stars tell.

    The night sky's own light is no star's and stays. The factor's error is common to all wavelengths and not in ERROR.
    """
    if factor is None:
        return spectrum
    meta = dict(spectrum.meta) | {"grey_factor": factor.factor, "grey_error": factor.error}
    grey = factor.factor
    return replace(
        spectrum,
        flux=spectrum.flux * grey,
        error=spectrum.error * grey,
        host=None if spectrum.host is None else spectrum.host * grey,
        calibration_error=None if spectrum.calibration_error is None else spectrum.calibration_error * grey,
        meta=meta,
    )


def calibrated(spectrum: Spectrum, calibration: Calibration | None, airmass: float | None) -> Spectrum:
    """The spectrum above the atmosphere in erg / (s cm2 Angstrom), and in its figures what it was calibrated with.

    Where field stars tell, it is brought to the sky of the calibration (`greyed`).

    Parameters
    ----------
    spectrum : Spectrum
        In electron / (s Angstrom).
    calibration : Calibration or None
        None leaves the spectrum in electrons and says so.
    airmass : float or None
        Mean over the exposures; None: `sedmd.observation.meta.ASSUMED_AIRMASS`.
    """
    meta = dict(spectrum.meta)
    if calibration is None:
        return replace(spectrum, meta=meta | {"fluxcal": False})
    source, sensitivity = calibration.source, calibration.sensitivity
    meta |= {
        "fluxcal_night": source.night,
        "fluxcal_age_nights": source.age_nights,
        "fluxcal_fallback": source.fallback,
        "fluxcal": True,
        "fluxcal_source": source.path.name,
    }
    known, _ = airmass_or_assumed(airmass)
    mag = extinction_mag(spectrum.wavelength)
    flux, error = calibrate(spectrum.flux, spectrum.error, sensitivity, mag, known)
    sky, _ = calibrate(spectrum.sky, spectrum.sky, sensitivity, mag, known)
    host = None
    if spectrum.host is not None:
        host, _ = calibrate(spectrum.host, spectrum.error, sensitivity, mag, known)
    whole = replace(
        spectrum,
        flux=flux,
        error=error,
        sky=sky,
        unit=CALIBRATED,
        meta=meta,
        host=host,
        calibration_error=calibration_error(flux, sensitivity),
    )
    return greyed(whole, calibration.grey)
