"""Medians of few values without a branch, so that the processor works on many pixels at once."""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.compiled import compiled

#: Half the width of the filter of 7.
HALF_7 = 3
#: Pixels of a stack that are sorted together: what n frames have of them stays in the processor's nearest memory.
CHUNK = 256


@compiled("float32(float32, float32, float32, float32, float32, float32, float32)")
def median_of_7(a, b, c, d, e, f, g):  # type: ignore[no-untyped-def]
    """Median of seven numbers.

    Notes
    -----
    Of five numbers neither the least nor the greatest can be the median of seven: both are dropped, the sixth joins,
    and so on until one is left.
    """
    # least and greatest of five: pairs first, then the fifth number against both
    a, b = (a, b) if a < b else (b, a)
    c, d = (c, d) if c < d else (d, c)
    a, c = (a, c) if a < c else (c, a)
    b, d = (b, d) if b < d else (d, b)
    e = a if a > e else e
    e = d if d < e else e
    # of b, c, e and the sixth number
    b, c = (b, c) if b < c else (c, b)
    e, f = (e, f) if e < f else (f, e)
    e = b if b > e else e
    f = c if c < f else f
    # the middle of e, f and the seventh
    e, f = (e, f) if e < f else (f, e)
    g = e if e > g else g
    return f if f < g else g


@compiled("float32(float32, float32, float32)")
def _middle(a, b, c):  # type: ignore[no-untyped-def]
    low, high = (a, b) if a < b else (b, a)
    low = low if low > c else c
    return low if low < high else high


@compiled(
    "float32(float32, float32, float32, float32, float32, float32, float32, float32, float32)",
)
def median_of_9(a, b, c, d, e, f, g, h, i):  # type: ignore[no-untyped-def]
    """Median of nine numbers.

    Notes
    -----
    Of three triples: the middle one of the greatest of their least, the middle of their middles, and the least of their
    greatest.
    """
    low_1, high_1 = min(a, b, c), max(a, b, c)
    low_2, high_2 = min(d, e, f), max(d, e, f)
    low_3, high_3 = min(g, h, i), max(g, h, i)
    middle = _middle(_middle(a, b, c), _middle(d, e, f), _middle(g, h, i))
    return _middle(max(low_1, low_2, low_3), middle, min(high_1, high_2, high_3))


@compiled("void(float32[:, ::1], int64, int64, int64, int64, float32[:, ::1], float32[:, ::1])")
def medians_of_7_by_7(image, top, bottom, left, right, scratch, out):  # type: ignore[no-untyped-def]
    """Separable running median: of 7 pixels along the rows, then of 7 of these along the columns.

    Parameters
    ----------
    image : (n_y, n_x) float32
    top, bottom, left, right : int, rows and columns that are wanted: from `top` on, up to and without `bottom`
    scratch : (n_y, n_x) float32, is overwritten
    out : (n_y, n_x) float32, is written in these rows and columns; the three at each edge of the image are copied
    """
    n_y, n_x = image.shape
    begin, end = max(left, HALF_7), min(right, n_x - HALF_7)
    for y in range(max(top - HALF_7, 0), min(bottom + HALF_7, n_y)):
        # counted from 0, or numba allows for negative numbers, and the loop is three times slower
        row, middle = image[y, begin - HALF_7 :], scratch[y, begin:]
        for x in range(end - begin):
            middle[x] = median_of_7(row[x], row[x + 1], row[x + 2], row[x + 3], row[x + 4], row[x + 5], row[x + 6])
    for y in range(top, bottom):
        if y < HALF_7 or y >= n_y - HALF_7:
            for x in range(left, right):
                out[y, x] = image[y, x]
            continue
        for x in range(begin, end):
            out[y, x] = median_of_7(
                scratch[y - 3, x], scratch[y - 2, x], scratch[y - 1, x], scratch[y, x],
                scratch[y + 1, x], scratch[y + 2, x], scratch[y + 3, x],
            )  # fmt: skip
        for x in range(left, min(HALF_7, right)):
            out[y, x] = image[y, x]
        for x in range(max(n_x - HALF_7, left), right):
            out[y, x] = image[y, x]


@compiled("void(float32[:, ::1], float32[:, ::1])")
def medians_of_9_along_rows(image, out):  # type: ignore[no-untyped-def]
    """Running median of 9 along each row.

    Parameters
    ----------
    image : (n_y, n_x + 8) float32, four columns more at each edge
    out : (n_y, n_x) float32, is written
    """
    n_y, n_x = out.shape
    for y in range(n_y):
        row, middle = image[y], out[y]
        for x in range(n_x):
            middle[x] = median_of_9(
                row[x], row[x + 1], row[x + 2], row[x + 3], row[x + 4], row[x + 5], row[x + 6], row[x + 7], row[x + 8]
            )


@compiled("void(float32[:, ::1], int64[:, ::1], float32[::1])")
def medians_of_stack(stack, exchanges, out):  # type: ignore[no-untyped-def]
    """Median of n values, of many pixels.

    Parameters
    ----------
    stack : (n, m) float32
    exchanges : (k, 2) int64, a network that sorts n values, see `sedmd.reduce.detector.stack.sorting_network`
    out : (m,) float32, is written; of an even number the mean of the two in the middle
    """
    n, m = stack.shape
    rows = np.empty((n, CHUNK), np.float32)
    half = np.float32(0.5)
    for first in range(0, m, CHUNK):
        width = min(CHUNK, m - first)
        for i in range(n):
            rows[i, :width] = stack[i, first : first + width]
        for k in range(len(exchanges)):
            one, other = rows[exchanges[k, 0]], rows[exchanges[k, 1]]
            for x in range(CHUNK):
                a, b = one[x], other[x]
                one[x], other[x] = (a, b) if a < b else (b, a)
        low, high, middle = rows[(n - 1) // 2], rows[n // 2], out[first:]
        for x in range(width):
            middle[x] = low[x] if n % 2 else (low[x] + high[x]) * half


@compiled("void(float32[:, ::1], boolean[:, ::1], float32[::1], float32[::1], float64[::1], int64[::1])")
def means_near(stack, usable, middle, reach, mean, count):  # type: ignore[no-untyped-def]
    """Mean of what lies near the middle of n values, of many pixels.

    Parameters
    ----------
    stack : (n, m) float32
    usable : (n, m) bool
    middle, reach : (m,) float32; what lies `reach` or more off the middle has no say
    mean : (m,) float64, is written; the middle where nothing lies near it
    count : (m,) int64, is written: how many do
    """
    n, m = stack.shape
    total, number = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.int32)
    for first in range(0, m, CHUNK):
        width = min(CHUNK, m - first)
        total[:], number[:] = 0, 0
        centre, off = middle[first:], reach[first:]
        for i in range(n):
            values, good = stack[i, first:], usable[i, first:]
            for x in range(width):
                near = good[x] and abs(values[x] - centre[x]) < off[x]
                total[x] += values[x] if near else np.float32(0.0)
                number[x] += np.int32(1) if near else np.int32(0)
        for x in range(width):
            count[first + x] = number[x]
            mean[first + x] = np.float64(total[x]) / number[x] if number[x] else np.float64(centre[x])
