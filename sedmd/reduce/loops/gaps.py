"""What stands above the gaps between the spectra, pixel by pixel."""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.compiled import compiled


@compiled("void(float32[:, ::1], uint8[:, ::1], float32, float32, int64, float32[:, ::1])")
def rooted_light(data, mask, read_variance, significant, gap, out):  # type: ignore[no-untyped-def]
    """Root of the light above the mean of the gaps on both sides, where it is significant; 0 elsewhere.

    Parameters
    ----------
    data : (n_y, n_x) float32, electron
    mask : (n_y, n_x) uint8; what is not 0 counts as dark, and gives no light
    read_variance : float32, electron**2 of one pixel
    significant : float32, least light, in units of its noise with that of two gap pixels
    gap : int, rows from a spectrum to the gap beside it
    out : (n_y, n_x) float32, is written
    """
    n_y, n_x = data.shape
    zero, half, three_halves = np.float32(0.0), np.float32(0.5), np.float32(1.5)
    for y in range(n_y):
        if y < gap or y >= n_y - gap:
            for x in range(n_x):
                out[y, x] = zero
            continue
        low, high = y - gap, y + gap
        for x in range(n_x):
            own = zero if mask[y, x] else data[y, x]
            beside = (zero if mask[low, x] else data[low, x]) + (zero if mask[high, x] else data[high, x])
            above = own - half * beside
            noise = np.sqrt(three_halves * (read_variance + (own if own > zero else zero)))
            lit = mask[y, x] == 0 and above > significant * noise
            out[y, x] = np.sqrt(above if lit else zero)
