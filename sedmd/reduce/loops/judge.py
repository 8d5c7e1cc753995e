"""Every pixel of a frame against its model: what the pixel is worth, and whether it fits at all.

Frames lie with their columns first, as in `sedmd.reduce.loops.light`. Numbers are single precision, as the frames are.
"""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.compiled import compiled


@compiled(
    "void(float32[:, ::1], boolean[:, ::1], float32[:, ::1], float32[:, ::1], float32, float32[:, ::1],"
    " float32[:, ::1], boolean[:, ::1])"
)
def judge(data, good, model, background, noise, residual, weight, outliers):  # type: ignore[no-untyped-def]
    """Weights by the model's variance, and the pixels that neither traces nor background explain.

    Parameters
    ----------
    data, good : (n_x, n_y) electron, and whether a pixel can be used
    model, background : (n_x, n_y) electron, light of the traces and between them
    noise : variance of the read-out, electron**2
    residual, weight, outliers : (n_x, n_y) are filled: electron, electron**-2 (0 where a pixel is not to be used), bool

    Notes
    -----
    A pixel is an outlier beyond six sigma and a third of the light of a trace: the profile is not known better on the
    flanks of a bright one.
    """
    for x in range(data.shape[0]):
        for y in range(data.shape[1]):
            light = max(model[x, y], np.float32(0.0))
            variance = noise + light + max(background[x, y], np.float32(0.0))
            left = data[x, y] - model[x, y] - background[x, y]
            residual[x, y] = left
            far = abs(left) > np.float32(6.0) * np.sqrt(variance) + np.float32(0.35) * light
            outliers[x, y] = good[x, y] and far
            weight[x, y] = np.float32(1.0) / variance if good[x, y] and not far else np.float32(0.0)


@compiled(
    "void(float32[:, ::1], boolean[:, ::1], float32[:, ::1], float32[:, ::1], float32, float32[:, ::1],"
    " float32[:, ::1], boolean[:, ::1], float64[:, ::1])"
)
def tally(data, good, model, background, noise, weight, gap, outliers, sums):  # type: ignore[no-untyped-def]
    """Figures of merit of each column.

    Parameters
    ----------
    data, good, model, background, noise, weight, outliers : as in `judge`
    gap : (n_x, n_y) how free of traces each pixel is, see `sedmd.reduce.traces.background.gap_weight`
    sums : (n_x, 4) is filled: chi-square of the pixels near traces, their number, number of pixels that stand more than
        six sigma above the background, how many of these are outliers
    """
    for x in range(data.shape[0]):
        chi2, near, bright, unexplained = 0.0, 0, 0, 0
        for y in range(data.shape[1]):
            above = data[x, y] - background[x, y]
            if weight[x, y] > 0.0 and not gap[x, y] > np.float32(0.95):
                left = above - model[x, y]
                chi2 += weight[x, y] * left * left
                near += 1
            limit = np.float32(6.0) * np.sqrt(noise + max(background[x, y], np.float32(0.0)))
            if good[x, y] and above > limit:
                bright += 1
                unexplained += 1 if outliers[x, y] else 0
        sums[x, 0], sums[x, 1], sums[x, 2], sums[x, 3] = chi2, near, bright, unexplained
