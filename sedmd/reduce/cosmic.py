"""Cosmic rays on single long exposures, by L.A.Cosmic (van Dokkum 2001) as astroscrappy implements it."""

from __future__ import annotations

import astroscrappy
import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.containers import Image, Mask

#: Exposures shorter than this pass uncleaned (kpy CosmicX minexptime).
MIN_EXPTIME_S = 60.0
#: Parameters of kpy's Makefile; objlim was raised from 1.8, which ate real spectral lines.
PARAMETERS = {
    "sigclip": 8.0,
    "sigfrac": 0.3,
    "objlim": 4.8,
    "niter": 4,
    "sepmed": True,
    "cleantype": "meanmask",
    "fsmode": "convolve",
    "psfmodel": "gaussy",
    "psffwhm": 2.0,
}


def clean_cosmics(image: Image) -> Image:
    """Mark and replace cosmic rays.

    Parameters
    ----------
    image : Image, electron

    Returns
    -------
    Image with COSMIC set in the mask; the cleaned pixels hold the average of their good neighbours, for people who look
    at the frame. No later step uses the value of a masked pixel.
    """
    bad = (image.mask & np.uint8(Mask.NO_DATA | Mask.BAD_PIXEL)) != 0
    hit, clean = astroscrappy.detect_cosmics(
        np.ascontiguousarray(image.data, np.float32),
        inmask=bad,
        gain=1.0,
        readnoise=float(image.read_noise),
        satlevel=np.inf,
        verbose=False,
        **PARAMETERS,
    )
    mask = image.mask | np.where(hit, np.uint8(Mask.COSMIC), np.uint8(0))
    variance: NDArray[np.floating] = np.maximum(clean, 0).astype(np.float32) + np.float32(image.read_noise**2)
    return Image(data=clean.astype(np.float32), variance=variance, mask=mask, read_noise=image.read_noise)
