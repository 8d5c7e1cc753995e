"""Light between the spectra: from pixels to sums over blocks, and from blocks back to pixels.

Frames lie with their columns first, as in `sedmd.reduce.loops.light`.
"""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.compiled import compiled


@compiled("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32, float32[:, ::1])")
def free_weight(gap, weight, model, share, free):  # type: ignore[no-untyped-def]
    """What each pixel is worth for the light between the spectra.

    Parameters
    ----------
    gap : (n_x, n_y) how free of traces each pixel is, see `sedmd.reduce.traces.background.gap_weight`
    weight : (n_x, n_y) inverse variance, electron**-2
    model : (n_x, n_y) light of the traces, electron
    share : of that light, which the profile does not know
    free : (n_x, n_y) is filled, electron**-2
    """
    for x in range(gap.shape[0]):
        for y in range(gap.shape[1]):
            unknown = share * model[x, y]
            spread = np.float32(1.0) + weight[x, y] * (unknown * unknown)
            free[x, y] = gap[x, y] * weight[x, y] / spread


@compiled("void(float32[:, ::1], float32[:, ::1], int64[::1], int64, float64[:, ::1], float64[:, ::1])")
def sum_blocks(residual, weight, columns, size, total, moment):  # type: ignore[no-untyped-def]
    """Sums over square blocks of pixels.

    Parameters
    ----------
    residual, weight : (n_columns, n_y)
    columns : (n_columns,) their numbers on the frame
    size : side of a block, pixel
    total, moment : (n_x / size, n_y / size) to which the weight, and weight x residual, of each block's pixels is added
    """
    for i in range(columns.size):
        x = columns[i] // size
        for y in range(total.shape[1]):
            weights, products = 0.0, 0.0
            for j in range(y * size, (y + 1) * size):
                w = np.float64(weight[i, j])
                weights += w
                products += w * residual[i, j]
            total[x, y] += weights
            moment[x, y] += products


@compiled("void(float64[:, ::1], int64[::1], int64, float32[:, ::1])")
def spread_blocks(blocks, columns, size, image):  # type: ignore[no-untyped-def]
    """Bilinear interpolation between the centres of blocks; beyond the outer ones as at these.

    Parameters
    ----------
    blocks : (>= 2, >= 2) value of each block
    columns : (n_columns,) numbers of the columns that are wanted
    size : side of a block, pixel
    image : (n_columns, n_y) is filled
    """
    nx, ny = blocks.shape
    mixed = np.empty(ny)
    low, part = np.empty(image.shape[1], np.int64), np.empty(image.shape[1])
    for j in range(image.shape[1]):
        place = min(max((j + 0.5) / size - 0.5, 0.0), ny - 1.0)
        low[j] = min(np.int64(place), ny - 2)
        part[j] = place - low[j]
    for i in range(columns.size):
        place = min(max((columns[i] + 0.5) / size - 0.5, 0.0), nx - 1.0)
        left = min(np.int64(place), nx - 2)
        for y in range(ny):
            mixed[y] = blocks[left, y] + (place - left) * (blocks[left + 1, y] - blocks[left, y])
        for j in range(image.shape[1]):
            image[i, j] = mixed[low[j]] + part[j] * (mixed[low[j] + 1] - mixed[low[j]])
