"""Loops over arc spectra: cut out along traces, resampled onto a template, aligned with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.compiled import compiled


@compiled("void(float32[:,::1], int64[::1], float64[:,::1], int64, int64, float32[:,::1])")
def sum_rows(
    image: NDArray[Any],
    centre: NDArray[Any],
    y_coeff: NDArray[Any],
    half_span: int,
    half_height: int,
    total: NDArray[Any],
) -> None:
    """Sum the rows about each trace, column by column; the outermost rows count in part.

    Parameters
    ----------
    image : (n_y, n_x)
    centre, y_coeff : (n,), (n, 3) middle column of each trace and its row in powers of ``(x - centre) / 100``
    half_span, half_height : columns and rows on each side
    total : (n, 2 half_span + 1), written; NaN where the window is not on the image
    """
    ny, nx = image.shape
    for i in range(len(centre)):
        for j in range(2 * half_span + 1):
            x = centre[i] + j - half_span
            u = (j - half_span) / 100.0
            y = y_coeff[i, 0] + u * (y_coeff[i, 1] + u * y_coeff[i, 2])
            if not (0 <= x < nx and half_height < y < ny - 1 - half_height):
                total[i, j] = np.nan
                continue
            light = np.float32(0.0)
            base = round(y)
            for row in range(max(base - half_height - 1, 0), min(base + half_height + 2, ny)):
                part = min(half_height + 0.5 - abs(row - y), 1.0)
                if part > 0.0:
                    light += np.float32(part) * image[row, x]
            total[i, j] = light


@compiled("float64(float32[::1], float64)")
def value_at(spectrum: NDArray[Any], place: float) -> float:
    """Value of a spectrum at a fractional index, linear between the columns; NaN beyond its ends."""
    if not 0.0 <= place <= spectrum.size - 1:
        return float(np.nan)
    base = min(int(place), spectrum.size - 2)
    return float(spectrum[base] + (place - base) * (spectrum[base + 1] - spectrum[base]))


@compiled("void(float32[:,:,::1], int64[::1], float64[:,::1], float64, float64[:,::1])")
def median_aligned(
    spectra: NDArray[Any], chosen: NDArray[Any], alignment: NDArray[Any], least_share: float, middle: NDArray[Any]
) -> None:
    """Median over traces of their spectra on the template's columns.

    Parameters
    ----------
    spectra : (n_lamp, n, n_column), finite
    chosen : (k,) traces that take part
    alignment : (n, 3) column of the spectrum that belongs to column u of the template, from the middles of both:
        powers of u
    least_share : columns that fewer of the traces reach are zero
    middle : (n_lamp, n_column), written
    """
    n_column = spectra.shape[2]
    seen = np.empty(len(chosen))
    for lamp in range(spectra.shape[0]):
        for column in range(n_column):
            u = float(column - n_column // 2)
            count = 0
            for i in chosen:
                place = alignment[i, 0] + u * (alignment[i, 1] + u * alignment[i, 2]) + n_column // 2
                value = value_at(spectra[lamp, i], place)
                if not math.isnan(value):
                    seen[count] = value
                    count += 1
            middle[lamp, column] = np.median(seen[:count]) if count > least_share * len(chosen) else 0.0


@compiled(
    "void(float32[:,:,::1], float64[:,::1], float64[:,:,::1], float64[:,::1], float64[::1], float64, float64, int64, "
    "float64[:,::1], float64[::1])"
)
def sharpen_alignment(
    spectra: NDArray[Any],
    template: NDArray[Any],
    design: NDArray[Any],
    inverse: NDArray[Any],
    held: NDArray[Any],
    least: float,
    most: float,
    rounds: int,
    parameters: NDArray[Any],
    likeness: NDArray[Any],
) -> None:
    """Gauss-Newton rounds that bring each trace's spectra onto the template.

    Parameters
    ----------
    spectra : (n_lamp, n, n_column), finite
    template : (n_lamp, n_column)
    design : (3, n_lamp, n_column) change of the template when its lines move by 1, u and u**2 columns, u in hundreds of
        columns from the middle
    inverse : (3, 3) of the normal matrix of the design, with what holds the parameters
    held : (3,) how much each parameter is held at zero
    least, most : limits of the second parameter
    rounds : number of rounds
    parameters : (n, 3) column of the spectrum at u, in powers of u; improved in place
    likeness : (n,) correlation with the template before the last step, written
    """
    n_lamp, n, n_column = spectra.shape
    power = 0.0
    for lamp in range(n_lamp):
        for j in range(n_column):
            power += template[lamp, j] * template[lamp, j]
    seen = np.empty((n_lamp, n_column))
    right, step = np.empty(3), np.empty(3)
    for i in range(n):
        p = parameters[i]
        for _ in range(rounds):
            along, square = 0.0, 0.0
            for j in range(n_column):
                u = (j - n_column // 2) / 100.0
                place = p[0] + u * (p[1] + u * p[2]) + n_column // 2
                base = min(max(math.floor(place), 0), n_column - 2)
                part = min(max(place - base, 0.0), 1.0)
                for lamp in range(n_lamp):
                    value = (1.0 - part) * spectra[lamp, i, base] + part * spectra[lamp, i, base + 1]
                    seen[lamp, j] = value
                    along += value * template[lamp, j]
                    square += value * value
            scale = max(along / power, 1e-3)
            likeness[i] = along / math.sqrt(power * square + 1e-9)
            stretch = p[1] / 100.0
            for k in range(3):
                right[k] = held[k] * p[k] / stretch
                for lamp in range(n_lamp):
                    for j in range(n_column):
                        right[k] += (seen[lamp, j] / scale - template[lamp, j]) * design[k, lamp, j]
            for k in range(3):
                step[k] = 0.0
                for m in range(3):
                    step[k] -= stretch * inverse[k, m] * right[m]
            for k in range(3):
                p[k] += min(max(step[k], -1.5), 1.5)
            p[1] = min(max(p[1], least), most)
