"""Medians of few values without a branch, so that the processor works on many pixels at once."""

from __future__ import annotations

from sedmd.reduce.compiled import compiled

#: Half the width of the filter of 7.
HALF_7 = 3


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


@compiled("float32(float32[::1])")
def median_of_9(values):  # type: ignore[no-untyped-def]
    """Median of nine numbers, which are put in order in their place."""
    for i in range(1, 9):
        value, at = values[i], i
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value
    return values[4]


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
