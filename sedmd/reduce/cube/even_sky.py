"""The sky of an exposure made even: how it bends over the field, which level and tilt about a target do not follow.

A dome lights the field otherwise than the sky does, and moonlight and twilight are not even. Over the eight arcsec
about a target the sky is fitted with a level and a tilt at every wavelength. What bends beyond that stays under the
target: a share of the sky, the more of its light the fainter it is. It is the same share at all wavelengths, and the
whole field tells it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.cube.sky_pattern import smooth_basis, smooth_fit
from sedmd.reduce.cube.sky_share import SkyShare, sky_share
from sedmd.reduce.numeric.containers import Cube, Spaxels

#: Terms of level and slope; those after them bend.
PLANE = 3
#: A sky that bends by more than this share of it, rms over the field, is none: an object fills the field.
MOST_BEND = 0.02


def with_even_sky(cube: Cube) -> Cube:
    """The cube less what its sky bends by over the field; as it is where that is not known.

    Parameters
    ----------
    cube : Cube, flat-fielded, sky not subtracted

    Returns
    -------
    Cube; slope and level of the sky, and the light of objects, stay
    """
    share = sky_share(cube)
    if share is None:
        return cube
    bend = curvature(share, cube.spaxels)
    if not bend.any():
        return cube
    clean = np.isfinite(share.share)
    good = (cube.mask[:, clean] == 0) & np.isfinite(cube.flux[:, clean])
    sky = np.ma.median(np.ma.masked_array(cube.flux[:, clean], ~good), axis=1).filled(0.0)
    return replace(cube, flux=(cube.flux - sky[:, None] * bend).astype(cube.flux.dtype))


def curvature(share: SkyShare, spaxels: Spaxels) -> NDArray[np.floating]:
    """What the sky bends by, as a share of it, beside level and slope.

    Parameters
    ----------
    share : SkyShare of an exposure
    spaxels : Spaxels of n

    Returns
    -------
    (n,) zero where no bend is seen

    Notes
    -----
    The three terms are drawn to zero by the positive part of 1 - (sum of their variances) / (sum of their squares)
    (James & Stein 1961); in the variances are photons, single spaxels' patterns, what the ranges of wavelength disagree
    by, and the halos of objects.
    """
    basis = smooth_basis(spaxels, np.ones(len(spaxels.ident), bool))
    found, variance = smooth_fit(share.share, share.error**2, basis)
    bend, noise = found[PLANE:] / found[0], variance[PLANE:] + share.smooth_error**2
    kept = max(1.0 - float(noise.sum() / max((bend**2).sum(), 1e-30)), 0.0)
    if float((bend**2).sum()) > MOST_BEND**2:
        return np.zeros(len(spaxels.ident))
    return np.asarray(basis[:, PLANE:] @ (kept * bend))
