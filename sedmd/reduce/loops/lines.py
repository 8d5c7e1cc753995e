"""Loops that fit groups of Gaussian lines to arc spectra, one spaxel after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.compiled import compiled

#: Distance from a line, in units of its sigma, beyond which it has no light: 1e-14 of its summit.
REACH_SIGMA = 8.0
#: Step in shift [column], stretch and relative flux below which a fit has arrived.
STILL = 1e-6
#: Error of the shape of a line: relative, and in the wings, which a Gaussian has not, per column as a part of the flux.
LINE_SHAPE, LINE_WINGS = 0.03, 0.003
#: Parameters of a group in a spaxel: flux, stretch of the widths, level, tilt, bend of the floor, then a shift a blend.
FLUX, STRETCH, LEVEL, TILT, BEND, FIRST_SHIFT = 0, 1, 2, 3, 4, 5


@compiled("void(float64, float64, float64, int64, float64[::1], float64[::1], float64[::1])")
def add_line(
    place: float,
    sigma: float,
    light: float,
    first: int,
    shape: NDArray[Any],
    d_shift: NDArray[Any],
    d_sigma: NDArray[Any],
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


@compiled("boolean(float64[:,::1], float64[::1], float64[::1])")
def solve(normal: NDArray[Any], right: NDArray[Any], variance: NDArray[Any]) -> bool:
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
    "void(int64, float64[::1], float64[::1], float64[::1], int64[::1], float64[::1], float64[::1], float64[:,::1])"
)
def draw_group(
    first: int,
    place: NDArray[Any],
    width: NDArray[Any],
    intensity: NDArray[Any],
    blend: NDArray[Any],
    parameters: NDArray[Any],
    light: NDArray[Any],
    derivatives: NDArray[Any],
) -> None:
    """Light of a group of m lines in a window of one spaxel, without its floor, and all derivatives.

    Parameters
    ----------
    first : column of the first element of the window
    place, width : (m,) column, predicted place and Gaussian sigma of each line
    intensity : (m,) relative intensities, unit sum
    blend : (m,) to which of the k blends, which have each a shift of their own, a line belongs
    parameters : (5 + k,) flux, stretch of the widths, level, tilt and bend of the floor, shift of each blend [column].
        The floor is ``level + tilt t + bend t**2``, t = (j - (size - 1) / 2) / size in the j-th column of the window
    light : (size,), written
    derivatives : (5 + k, size) of light and floor with respect to the parameters, written
    """
    size = light.size
    shape, stretched = derivatives[FLUX], derivatives[STRETCH]
    derivatives[:] = 0.0
    for m in range(place.size):
        shift = FIRST_SHIFT + blend[m]
        sigma = width[m] * parameters[STRETCH]
        add_line(place[m] + parameters[shift], sigma, intensity[m], first, shape, derivatives[shift], stretched)
    for j in range(size):
        light[j] = parameters[FLUX] * shape[j]
        stretched[j] *= parameters[FLUX] / parameters[STRETCH]
        derivatives[LEVEL, j] = 1.0
        along = (j - (size - 1) / 2.0) / size
        derivatives[TILT, j] = along
        derivatives[BEND, j] = along * along
        for k in range(FIRST_SHIFT, parameters.size):
            derivatives[k, j] *= parameters[FLUX]


@compiled(
    "void(float64[::1], float64[::1], float64[::1], float64[:,::1], float64[::1], float64[::1], float64[::1], "
    "float64[::1], float64[:,::1], float64[::1])"
)
def spaxel_equations(
    data: NDArray[Any],
    variance: NDArray[Any],
    light: NDArray[Any],
    derivatives: NDArray[Any],
    parameters: NDArray[Any],
    sigmas: NDArray[Any],
    weight: NDArray[Any],
    residual: NDArray[Any],
    normal: NDArray[Any],
    right: NDArray[Any],
) -> None:
    """Normal equations of a Gauss-Newton step in one spaxel's own parameters; all but `right` of it (size,) or (p, p).

    Parameters
    ----------
    data, variance : electron and electron**2 in the window
    light, derivatives, parameters : as in `draw_group`
    sigmas : (3,) how far the stretch may deviate from 1, each blend's shift from their mean [column], and the bend of
        the floor from none [electron]: that keeps faint and blended fits stable
    weight, residual : written
    normal, right : lower triangle and right-hand side, written
    """
    size, p = data.size, parameters.size
    level, tilt, bend = parameters[LEVEL], parameters[TILT], parameters[BEND]
    for j in range(size):
        # Weights from the model, with an uncertainty of the line's shape, which is not quite a Gaussian.
        core, wings = LINE_SHAPE * light[j], LINE_WINGS * parameters[FLUX]
        weight[j] = 1.0 / (max(variance[j], 1.0) + core * core + wings * wings)
        residual[j] = data[j] - light[j] - level - tilt * derivatives[TILT, j] - bend * derivatives[BEND, j]
    for k in range(p):
        total = 0.0
        for j in range(size):
            total += weight[j] * derivatives[k, j] * residual[j]
        right[k] = total
        for q in range(k + 1):
            total = 0.0
            for j in range(size):
                total += weight[j] * derivatives[k, j] * derivatives[q, j]
            normal[k, q] = total
    normal[STRETCH, STRETCH] += sigmas[0] ** -2.0
    right[STRETCH] += (1.0 - parameters[STRETCH]) * sigmas[0] ** -2.0
    normal[BEND, BEND] += sigmas[2] ** -2.0
    right[BEND] -= bend * sigmas[2] ** -2.0
    blends = p - FIRST_SHIFT
    if blends > 1:
        mean = 0.0
        for k in range(FIRST_SHIFT, p):
            mean += parameters[k] / blends
        for k in range(FIRST_SHIFT, p):
            right[k] += (mean - parameters[k]) * sigmas[1] ** -2.0
            for q in range(FIRST_SHIFT, k + 1):
                normal[k, q] += ((1.0 if k == q else 0.0) - 1.0 / blends) * sigmas[1] ** -2.0


@compiled(
    "void(float64[:,::1], float64[:,::1], int64[::1], float64[:,::1], float64[:,::1], float64[::1], int64[::1], "
    "boolean[::1], int64, float64[::1], float64[:,::1], float64[:,::1])"
)
def improve_groups(
    data: NDArray[Any],
    variance: NDArray[Any],
    first: NDArray[Any],
    place: NDArray[Any],
    width: NDArray[Any],
    intensity: NDArray[Any],
    blend: NDArray[Any],
    usable: NDArray[Any],
    rounds: int,
    sigmas: NDArray[Any],
    parameters: NDArray[Any],
    errors2: NDArray[Any],
) -> None:
    """Gauss-Newton rounds for a group of m lines in n spaxels, its relative intensities held.

    Parameters
    ----------
    data, variance : (n, size) electron and electron**2 in the window of each spaxel
    first, place, width, intensity, blend : as in `draw_group`; of each spaxel (n,), (n, m), (n, m), of all (m,), (m,)
    usable : (n,) spaxels to fit; the others stay as they are
    rounds : number of rounds at most
    sigmas : as in `spaxel_equations`
    parameters : (n, 5 + k) as in `draw_group`, improved in place
    errors2 : (n, 5 + k) squared errors of these in the last round, written
    """
    size, p = data.shape[1], parameters.shape[1]
    light, weight, residual = np.empty(size), np.empty(size), np.empty(size)
    derivatives, normal, right, inverse = np.empty((p, size)), np.empty((p, p)), np.empty(p), np.empty(p)
    for i in range(len(data)):
        if not usable[i]:
            continue
        own = parameters[i]
        for _ in range(rounds):
            draw_group(first[i], place[i], width[i], intensity, blend, own, light, derivatives)
            spaxel_equations(data[i], variance[i], light, derivatives, own, sigmas, weight, residual, normal, right)
            if not solve(normal, right, inverse):
                break
            own[FLUX] = max(own[FLUX] + right[FLUX], 1e-3)
            own[STRETCH] = min(max(own[STRETCH] + min(max(right[STRETCH], -0.2), 0.2), 0.6), 1.6)
            own[LEVEL] += right[LEVEL]
            own[TILT] += right[TILT]
            own[BEND] += right[BEND]
            still = abs(right[FLUX]) < STILL * own[FLUX] and abs(right[STRETCH]) < STILL
            for k in range(FIRST_SHIFT, p):
                own[k] += min(max(right[k], -1.0), 1.0)
                still = still and abs(right[k]) < STILL
            errors2[i] = inverse
            # What is left to do is a small part of the last step.
            if still:
                break


@compiled(
    "void(float64[:,::1], float64[:,::1], int64[::1], float64[:,::1], float64[:,::1], float64[::1], int64[::1], "
    "int64[::1], float64[::1], float64[:,::1], float64[:,::1], float64[::1], float64[:,::1])"
)
def strength_equations(
    data: NDArray[Any],
    variance: NDArray[Any],
    first: NDArray[Any],
    place: NDArray[Any],
    width: NDArray[Any],
    intensity: NDArray[Any],
    blend: NDArray[Any],
    rows: NDArray[Any],
    sigmas: NDArray[Any],
    parameters: NDArray[Any],
    normal: NDArray[Any],
    right: NDArray[Any],
    pull: NDArray[Any],
) -> None:
    """What the mean spaxel says about the strengths of the m lines of a group, its own parameters left free.

    Parameters
    ----------
    data ... blend, sigmas, parameters : as in `improve_groups`
    rows : spaxels that take part
    normal, right : (m, m) and (m,) normal equations of a Gauss-Newton step in the logarithms of the strengths, mean
        over the spaxels, written
    pull : (k, m) change of the shift of each blend [column] that answers a change of these logarithms, mean, written

    Notes
    -----
    Strength and shift of a blend say nearly the same. To improve them in turn would crawl along the valley between
    them; so the spaxel's parameters, whose equations are N, are eliminated: with C the products of the derivatives of
    both kinds, R those of the strengths, the equations are R - C' N^-1 C, and the pull is -N^-1 C.
    """
    size, m, p = data.shape[1], place.shape[1], parameters.shape[1]
    light, weight, residual = np.empty(size), np.empty(size), np.empty(size)
    derivatives, own, own_right = np.empty((p, size)), np.empty((p, p)), np.empty(p)
    lines, unused, cross, a = np.empty((m, size)), np.zeros(size), np.empty((p, m)), np.empty(p)
    normal[:] = 0.0
    right[:] = 0.0
    pull[:] = 0.0
    for i in rows:
        now = parameters[i]
        draw_group(first[i], place[i], width[i], intensity, blend, now, light, derivatives)
        spaxel_equations(data[i], variance[i], light, derivatives, now, sigmas, weight, residual, own, own_right)
        lines[:] = 0.0
        cross[:] = 0.0
        for k in range(m):
            at, sigma = place[i, k] + now[FIRST_SHIFT + blend[k]], width[i, k] * now[STRETCH]
            add_line(at, sigma, now[FLUX] * intensity[k], first[i], lines[k], unused, unused)
            for j in range(size):
                here = weight[j] * lines[k, j]
                if here == 0.0:
                    continue
                right[k] += here * residual[j]
                for q in range(p):
                    cross[q, k] += here * derivatives[q, j]
                for q in range(k + 1):
                    normal[k, q] += here * lines[q, j]
        # Cholesky's factor L of the spaxel's own equations; then L^-1 C and L^-1 r.
        for k in range(p):
            for q in range(k + 1):
                for b in range(q):
                    own[k, q] -= own[k, b] * own[q, b]
                own[k, q] = math.sqrt(max(own[k, k], 1e-12)) if q == k else own[k, q] / own[q, q]
            for b in range(k):
                own_right[k] -= own[k, b] * own_right[b]
                for q in range(m):
                    cross[k, q] -= own[k, b] * cross[b, q]
            own_right[k] /= own[k, k]
            for q in range(m):
                cross[k, q] /= own[k, k]
        for k in range(m):
            for b in range(p):
                right[k] -= cross[b, k] * own_right[b]
                for q in range(k + 1):
                    normal[k, q] -= cross[b, k] * cross[b, q]
            # The last rows of L^-T L^-1 C, from the last upwards.
            for b in range(p - 1, FIRST_SHIFT - 1, -1):
                a[b] = cross[b, k]
                for q in range(b + 1, p):
                    a[b] -= own[q, b] * a[q]
                a[b] /= own[b, b]
                pull[b - FIRST_SHIFT, k] -= a[b]
    n = max(len(rows), 1)
    for k in range(m):
        right[k] /= n
        for b in range(p - FIRST_SHIFT):
            pull[b, k] /= n
        for q in range(k + 1):
            normal[k, q] /= n
            normal[q, k] = normal[k, q]


@compiled("void(int64[::1], float64[:,::1], float64[:,::1], float64[::1], int64[::1], float64[:,::1], float64[:,::1])")
def draw_groups(
    first: NDArray[Any],
    place: NDArray[Any],
    width: NDArray[Any],
    intensity: NDArray[Any],
    blend: NDArray[Any],
    parameters: NDArray[Any],
    light: NDArray[Any],
) -> None:
    """Light of a group without its floor in the windows of n spaxels, as in `improve_groups`: (n, size), written."""
    derivatives = np.empty((parameters.shape[1], light.shape[1]))
    for i in range(len(first)):
        draw_group(first[i], place[i], width[i], intensity, blend, parameters[i], light[i], derivatives)
