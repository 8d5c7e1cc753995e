"""Loops that fit groups of Gaussian lines to arc spectra, one spaxel after the other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.compiled import compiled

#: Distance from a line, in units of its sigma, beyond which it has no light: 1e-14 of its summit.
REACH_SIGMA = 8.0
#: Step in shift [column], stretch and relative flux below which a fit has arrived.
STILL = 1e-6


@compiled("void(float64, float64, float64, int64, float64[::1], float64[::1], float64[::1])")
def add_line(
    place: float, sigma: float, light: float, first: int, shape: NDArray, d_shift: NDArray, d_sigma: NDArray
) -> None:
    """Add a Gaussian line to the columns of a window, and its derivatives with respect to place and log sigma.

    Parameters
    ----------
    place, sigma : column
    light : flux of the line
    first : column of the first element of the window
    shape, d_shift, d_sigma : (size,) are added to

    Notes
    -----
    From column to column a Gaussian changes by a factor that itself changes by a constant factor,
    ``exp(-(t + d)^2 / 2) = exp(-t^2 / 2) exp(-t d - d^2 / 2)``: three exponentials do for a line. The walk begins at
    the summit and goes outwards, where each factor is less than one, so that rounding errors die out.
    """
    size = shape.size
    d = 1.0 / sigma
    norm = light * d / math.sqrt(2.0 * math.pi)
    change = math.exp(-d * d)
    summit = round(place) - first
    begin = min(max(summit, 0), size - 1)
    t = (begin + first - place) * d
    if abs(t) > REACH_SIGMA:
        return
    top = norm * math.exp(-0.5 * t * t)
    for side in (1, -1):
        value = top
        s = t
        factor = math.exp(-side * t * d - 0.5 * d * d)
        j = begin
        if side < 0:  # the summit has been counted
            value *= factor
            factor *= change
            s -= d
            j -= 1
        while 0 <= j < size and abs(s) <= REACH_SIGMA:
            shape[j] += value
            d_shift[j] += value * s * d
            d_sigma[j] += value * (s * s - 1.0)
            value *= factor
            factor *= change
            s += side * d
            j += side


@compiled(
    "void(int64, float64[::1], float64[::1], float64[::1], float64, float64, float64[::1], float64[::1], float64[::1])"
)
def draw_group(
    first: int,
    place: NDArray,
    width: NDArray,
    intensity: NDArray,
    shift: float,
    stretch: float,
    shape: NDArray,
    d_shift: NDArray,
    d_stretch: NDArray,
) -> None:
    """Shape of a group of lines in a window and its derivatives with respect to shift and stretch: (size,) each."""
    shape[:] = 0.0
    d_shift[:] = 0.0
    d_stretch[:] = 0.0
    for m in range(place.size):
        add_line(place[m] + shift, width[m] * stretch, intensity[m], first, shape, d_shift, d_stretch)
    for j in range(shape.size):
        d_stretch[j] /= stretch


@compiled("boolean(float64[:,::1], float64[::1], float64[::1])")
def solve(normal: NDArray, right: NDArray, variance: NDArray) -> bool:
    """Solve a small positive definite system in place, and tell the diagonal of its inverse.

    Parameters
    ----------
    normal : (k, k), lower triangle; overwritten by its Cholesky factor
    right : (k,), overwritten by the solution
    variance : (k,), overwritten by the diagonal of the inverse

    Returns
    -------
    bool, False where the matrix is not positive definite; then nothing of the above holds
    """
    k = right.size
    for i in range(k):
        for j in range(i + 1):
            total = normal[i, j]
            for m in range(j):
                total -= normal[i, m] * normal[j, m]
            if i == j:
                if not total > 0.0:
                    return False
                normal[i, i] = math.sqrt(total)
            else:
                normal[i, j] = total / normal[j, j]
    for i in range(k):
        for m in range(i):
            right[i] -= normal[i, m] * right[m]
        right[i] /= normal[i, i]
    for i in range(k - 1, -1, -1):
        for m in range(i + 1, k):
            right[i] -= normal[m, i] * right[m]
        right[i] /= normal[i, i]
    # The inverse is the product of the factor's inverse with its transpose: column by column.
    column = np.empty(k)
    for i in range(k):
        variance[i] = 0.0
        for j in range(i, k):
            total = 1.0 if j == i else 0.0
            for m in range(i, j):
                total -= normal[j, m] * column[m]
            column[j] = total / normal[j, j]
            variance[i] += column[j] * column[j]
    return True


@compiled(
    "void(float64[:,::1], float64[:,::1], int64[::1], float64[:,::1], float64[:,::1], float64[::1], boolean[::1], "
    "int64, float64[:,::1], float64[:,::1])"
)
def improve_groups(
    data: NDArray,
    variance: NDArray,
    first: NDArray,
    place: NDArray,
    width: NDArray,
    intensity: NDArray,
    usable: NDArray,
    rounds: int,
    parameters: NDArray,
    errors2: NDArray,
) -> None:
    """Gauss-Newton rounds for a group of m lines in n spaxels, its relative intensities held.

    Parameters
    ----------
    data, variance : (n, size) electron and electron**2 in the window of each spaxel
    first : (n,) column of the first element of the window
    place, width : (n, m) column, predicted place and Gaussian sigma of each line
    intensity : (m,) relative intensities, unit sum
    usable : (n,) spaxels to fit; the others stay as they are
    rounds : number of rounds
    parameters : (n, 5) flux, shift [column], floor, stretch of the widths and tilt of the floor; improved in place.
        The floor is ``floor + tilt (j - (size - 1) / 2) / size`` in the j-th column of the window
    errors2 : (n, 5) squared errors of these in the last round, written
    """
    n, size = data.shape
    shape, d_shift, d_stretch = np.empty(size), np.empty(size), np.empty(size)
    normal, right, inverse, a = np.empty((5, 5)), np.empty(5), np.empty(5), np.empty(5)
    for i in range(n):
        if not usable[i]:
            continue
        p = parameters[i]
        for _ in range(rounds):
            draw_group(first[i], place[i], width[i], intensity, p[1], p[3], shape, d_shift, d_stretch)
            normal[:] = 0.0
            right[:] = 0.0
            for j in range(size):
                along = (j - (size - 1) / 2.0) / size
                # Weights from the model, with 3 per cent for the line shape, which is not quite a Gaussian.
                doubt = 0.03 * p[0] * shape[j]
                weight = 1.0 / (max(variance[i, j], 1.0) + doubt * doubt)
                residual = data[i, j] - (p[2] + p[4] * along + p[0] * shape[j])
                a[0], a[1], a[2], a[3], a[4] = shape[j], p[0] * d_shift[j], 1.0, p[0] * d_stretch[j], along
                for k in range(5):
                    wa = weight * a[k]
                    right[k] += wa * residual
                    for m in range(k + 1):
                        normal[k, m] += wa * a[m]
            # The width may stray by a few per cent only; that keeps faint and blended fits stable.
            normal[3, 3] += 1.0 / 0.1**2
            right[3] += (1.0 - p[3]) / 0.1**2
            if not solve(normal, right, inverse):
                break
            p[0] = max(p[0] + right[0], 1e-3)
            p[1] += min(max(right[1], -1.0), 1.0)
            p[2] += right[2]
            p[3] = min(max(p[3] + min(max(right[3], -0.2), 0.2), 0.6), 1.6)
            p[4] += right[4]
            errors2[i] = inverse
            # What is left to do is a small part of the last step.
            if abs(right[0]) < STILL * p[0] and abs(right[1]) < STILL and abs(right[3]) < STILL:
                break


@compiled(
    "void(int64[::1], float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64[::1], int64[::1], "
    "float64[:,:,::1])"
)
def draw_blends(
    first: NDArray,
    place: NDArray,
    width: NDArray,
    shift: NDArray,
    stretch: NDArray,
    share: NDArray,
    blend: NDArray,
    drawn: NDArray,
) -> None:
    """Light of each blend of a group in the windows of n spaxels.

    Parameters
    ----------
    first, shift, stretch : (n,) as in `improve_groups`
    place, width : (n, m)
    share : (m,) flux of each line
    blend : (m,) to which of k blends the line belongs
    drawn : (n, k, size), written
    """
    n, _, size = drawn.shape
    unused = np.empty(size)
    unused[:] = 0.0
    drawn[:] = 0.0
    for i in range(n):
        for m in range(place.shape[1]):
            add_line(
                place[i, m] + shift[i], width[i, m] * stretch[i], share[m], first[i], drawn[i, blend[m]], unused, unused
            )
