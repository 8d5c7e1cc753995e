"""The signal to noise that no extraction of an exposure can exceed: photons, read noise and the true image alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sedmd.simulate.expose import lights_of
from sedmd.simulate.plan import PlannedExposure, SimulatedInstrument
from sedmd.simulate.render import column_flux
from sedmd.simulate.sources import SimulatedSource

#: Pixels across the dispersion that count, about the centre of a spectrum.
REACH_PX = 6


def limit_of(
    instrument: SimulatedInstrument,
    exposure: PlannedExposure,
    source: SimulatedSource,
    edges: NDArray[np.floating],
    background: float,
) -> NDArray[np.float64]:
    """Largest signal to noise of the flux of a source between wavelengths.

    Parameters
    ----------
    instrument, exposure, source : one of the exposure's sources
    edges : (n + 1,) ends of the ranges [Angstrom]
    background : scattered light and dark current [electron/pixel]

    Returns
    -------
    (n,) ndarray

    Notes
    -----
    A spectrum of known shape, fitted with the true image to every sample of every lenslet, each with the smallest
    variance that its pixels allow: ``(S/N)**2 = sum t**2 / V`` with t the electrons of the source in a column of a
    lenslet and ``1 / V = sum P**2 / (F P + b + r**2)`` over the pixels, P the share of a pixel, F all light of the
    sample, b the background, r the read noise. The sky counts as known, and no neighbour lies near.
    """
    optics, detector = instrument.optics, instrument.profile.detector
    lights = lights_of(instrument, exposure)
    own = lights[len(lights) - len(exposure.sources) + exposure.sources.index(source)]
    shape = {"flexure_x": exposure.flexure[0], "breathing": exposure.breathing}
    target, everything = column_flux(optics, [own], **shape), column_flux(optics, lights, **shape)
    noise = detector.speed(exposure.speed).read_noise ** 2 + background
    variance = _variance(everything.flux, float(np.median(optics.trace_sigma(np.array([6500.0])))), noise)
    size = instrument.profile.frame.columns
    column = target.first[:, None] + np.arange(target.flux.shape[1])
    seen = (column >= 0) & (column < size)
    weight = np.where(seen, target.flux**2 / variance, 0.0)
    return np.array(
        [
            np.sqrt(weight[(target.wavelength >= low) & (target.wavelength < high)].sum())
            for low, high in pairwise(edges)
        ]
    )


def _variance(light: NDArray[np.floating], sigma: float, noise: float) -> NDArray[np.float64]:
    """Smallest variance of the light of a sample, a Gaussian across the dispersion: electron**2, as `light`."""
    rows = np.arange(-REACH_PX, REACH_PX + 1)
    levels = np.concatenate([[0.0], np.geomspace(1e-2, max(float(light.max()), 1.0), 60)])
    found = np.zeros(levels.size)
    phases = (-0.375, -0.125, 0.125, 0.375)  # where the centre falls within its pixel
    for phase in phases:
        share = np.exp(-0.5 * ((rows - phase) / sigma) ** 2)
        share /= share.sum()
        found += (share**2 / (levels[:, None] * share + noise)).sum(axis=1) / len(phases)
    return np.asarray(np.interp(np.maximum(light, 0.0), levels, 1.0 / found))
