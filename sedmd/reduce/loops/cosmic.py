"""Loops of L.A.Cosmic (van Dokkum 2001, PASP 113, 1420) over the pixels of a frame, in single precision.

Each sum is taken in the order in which astroscrappy takes it, so that the tests can ask for the same mask and the same
cleaned frame, bit for bit.
"""

from __future__ import annotations

import numpy as np

from sedmd.reduce.loops.median import median_of_9, medians_of_7_by_7
from sedmd.reduce.numeric.compiled import compiled

#: Rows and columns at each edge where nothing is looked for: the median of 7 x 7 pixels is not defined there.
EDGE = 3
#: Half the width of the kernel (7 x 7) and of the median (9 x 9) that make the fine structure.
HALF_KERNEL, HALF_MEDIAN = 3, 4
#: Half the width of the square whose good pixels fill in for a cosmic ray.
HALF_FILL = 2
#: How far a new cosmic ray reaches: it changes what is filled in, by that the noise (a median of 7 x 7), by that the
#: fine structure of the pixels around.
REACH = HALF_FILL + EDGE + HALF_KERNEL + HALF_MEDIAN
#: Columns of which the fine structure is made at a time: as many as the processor adds in one or two instructions.
WIDTH = 16
#: Least variance of a pixel and least fine structure, so that neither is divided by zero.
LEAST_VARIANCE, LEAST_STRUCTURE = np.float32(1e-5), np.float32(0.01)
_0, _1, _2, _4 = np.float32(0.0), np.float32(1.0), np.float32(2.0), np.float32(4.0)


@compiled("float32(float32, float32, float32, float32, float32)")
def _quarter(centre, right, left, above, below):  # type: ignore[no-untyped-def]
    """Laplacian of a quarter of a pixel, where it is positive. Two of the neighbours are the same pixel's quarters."""
    value = _4 * centre - right - left - above - below
    return _0 if value < _0 else value


@compiled("float32(float32, float32, float32, float32, float32)")
def _laplacian(centre, right, left, above, below):  # type: ignore[no-untyped-def]
    """How far a pixel stands above its neighbours: mean over its quarters (van Dokkum 2001, eqs. 6 to 9)."""
    total = _quarter(centre, centre, left, centre, below) + _quarter(centre, centre, left, above, centre)
    total = total + _quarter(centre, right, centre, above, centre)
    return (total + _quarter(centre, right, centre, centre, below)) / _4


@compiled("void(float32[:, ::1], float32[:, ::1], int64[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, :, ::1])")
def significance(data, variance, boxes, noise, excess, scratch):  # type: ignore[no-untyped-def]
    """Noise without cosmic rays, and how significantly each pixel stands above its surroundings.

    Parameters
    ----------
    data, variance : (n_y, n_x) float32, electron and electron**2; beyond their edges there is no light
    boxes : (n, 4) int64, first row, row after the last, first column, column after the last of the parts wanted
    noise : (n_y, n_x) float32, electron, is written: root of the variance's median over 7 x 7 pixels
    excess : (n_y, n_x) float32, is written: Laplacian in units of its noise, less its own median
    scratch : (2, n_y, n_x) float32, is overwritten
    """
    n_y, n_x = data.shape
    medians, stands = scratch[0], scratch[1]
    darkness = np.zeros(n_x, np.float32)
    for box in range(len(boxes)):
        top, bottom = max(boxes[box, 0] - EDGE, 0), min(boxes[box, 1] + EDGE, n_y)
        left, right = max(boxes[box, 2] - EDGE, 0), min(boxes[box, 3] + EDGE, n_x)
        medians_of_7_by_7(variance, top, bottom, left, right, medians, noise)
        for y in range(top, bottom):
            row, own, stand = data[y], noise[y], stands[y]
            above = data[y + 1] if y + 1 < n_y else darkness
            below = data[y - 1] if y > 0 else darkness
            for x in range(left, right):
                own[x] = np.sqrt(LEAST_VARIANCE if own[x] < LEAST_VARIANCE else own[x])
            begin = max(left, 1)
            side, up, down = row[begin - 1 :], above[begin:], below[begin:]
            for x in range(min(right, n_x - 1) - begin):
                stand[begin + x] = _laplacian(side[x + 1], side[x + 2], side[x], up[x], down[x]) / (_2 * own[begin + x])
            if left == 0:
                stand[0] = _laplacian(row[0], row[1], _0, above[0], below[0]) / (_2 * own[0])
            if right == n_x:
                x = n_x - 1
                stand[x] = _laplacian(row[x], _0, row[x - 1], above[x], below[x]) / (_2 * own[x])
        top, bottom, left, right = boxes[box]
        medians_of_7_by_7(stands, top, bottom, left, right, medians, excess)
        for y in range(top, bottom):
            for x in range(left, right):
                excess[y, x] = stands[y, x] - excess[y, x]


@compiled("void(float32[:, ::1], float32[:, ::1], float32[::1], int64, int64, float32[:, ::1], float32[:, ::1])")
def _matched(data, noise, kernel, y, first, scratch, out):  # type: ignore[no-untyped-def]
    """Light of a point source in `WIDTH` columns from `first` on of row `y`: what 7 x 7 pixels tell of it.

    Their mean, weighted with kernel over variance; pixels beyond the edge count nothing.
    """
    n_y, n_x = data.shape
    light, weight, weighted, inverse = scratch[0], scratch[1], scratch[2], scratch[3]
    scratch[:] = _0
    start = first - HALF_KERNEL
    begin, end = max(start, 0), min(first + WIDTH + HALF_KERNEL, n_x)
    for step in range(max(-HALF_KERNEL, -y), min(HALF_KERNEL, n_y - 1 - y) + 1):
        for x in range(begin, end):
            own = noise[y + step, x]
            weighted[x - start] = data[y + step, x] / own / own
            inverse[x - start] = _1 / own / own
        share = kernel[HALF_KERNEL - step]
        for tap in range(2 * HALF_KERNEL + 1):
            for i in range(WIDTH):
                light[i] += share * weighted[tap + i]
                weight[i] += share * inverse[tap + i]
    for i in range(min(WIDTH, n_x - first)):
        out[y, first + i] = light[i] / weight[i]


@compiled("boolean[::1](float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[::1], float32, int64[::1])")
def are_sharp(data, noise, excess, kernel, contrast, pixels):  # type: ignore[no-untyped-def]
    """Which pixels are sharper than the optics make anything.

    Parameters
    ----------
    data, noise, excess : (n_y, n_x) float32, as of `significance`
    kernel : (7,) float32, the narrowest image across the dispersion; the same in each column, over all 7 sums to 1
    contrast : float32, least ratio of excess and fine structure
    pixels : (n,) int64, those to judge, counted along the rows; none within `EDGE`

    Returns
    -------
    (n,) bool

    Notes
    -----
    The fine structure (van Dokkum 2001, eq. 14) is the light that a point source would have, less its median over 9 x 9
    pixels, in units of the noise. It costs hundreds of operations a pixel, and is made only around the pixels that
    stand out, one in a thousand. Where the median reaches beyond the edge it is the least.
    """
    n_y, n_x = data.shape
    structure = np.empty((n_y, n_x), np.float32)
    known = np.zeros((n_y, (n_x + WIDTH - 1) // WIDTH), np.bool_)
    scratch = np.empty((4, WIDTH + 2 * HALF_KERNEL), np.float32)
    m = np.empty(9, np.float32)
    sharp = np.empty(len(pixels), np.bool_)
    for number in range(len(pixels)):
        y, x = pixels[number] // n_x, pixels[number] % n_x
        fine = LEAST_STRUCTURE
        if HALF_MEDIAN <= y < n_y - HALF_MEDIAN and HALF_MEDIAN <= x < n_x - HALF_MEDIAN:
            for i in range(9):
                row, start = y + i - HALF_MEDIAN, x - HALF_MEDIAN
                for block in range(start // WIDTH, (start + 8) // WIDTH + 1):
                    if not known[row, block]:
                        _matched(data, noise, kernel, row, block * WIDTH, scratch, structure)
                        known[row, block] = True
                v = structure[row, start : start + 9]
                m[i] = median_of_9(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8])
            level = median_of_9(m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8])
            fine = (structure[y, x] - level) / noise[y, x]
            fine = LEAST_STRUCTURE if fine < LEAST_STRUCTURE else fine
        sharp[number] = excess[y, x] / fine > contrast
    return sharp


@compiled("int64[::1](float32[:, ::1], boolean[:, ::1], float32, int64[::1], boolean[:, ::1])")
def grow(excess, bad, limit, pixels, taken):  # type: ignore[no-untyped-def]
    """Pixels and their eight neighbours whose excess is above a limit.

    Parameters
    ----------
    excess : (n_y, n_x) float32
    bad : (n_y, n_x) bool, pixels that are not judged
    limit : float32
    pixels : (n,) int64, counted along the rows; none within `EDGE`
    taken : (n_y, n_x) bool, pixels that are not wanted again; those that are found join them

    Returns
    -------
    (m,) int64
    """
    n_x = excess.shape[1]
    found = np.empty(9 * len(pixels), np.int64)
    count = 0
    for pixel in pixels:
        for y in range(pixel // n_x - 1, pixel // n_x + 2):
            for x in range(pixel % n_x - 1, pixel % n_x + 2):
                if excess[y, x] > limit and not bad[y, x] and not taken[y, x]:
                    taken[y, x] = True
                    found[count] = y * n_x + x
                    count += 1
    return found[:count]


@compiled("int64(float32[:, ::1], boolean[:, ::1], boolean[:, ::1], int64[::1], float32)")
def fill(image, hit, bad, pixels, level):  # type: ignore[no-untyped-def]
    """Replace cosmic rays by the mean of the good ones among the 24 pixels around each.

    Parameters
    ----------
    image : (n_y, n_x) float32, is changed
    hit : (n_y, n_x) bool, pixels that cosmic rays have hit
    bad : (n_y, n_x) bool, pixels that are no good for others
    pixels : (n,) int64, the last that were added to `hit`; those near them that were there are filled again. None
        within `EDGE`
    level : float32, for pixels without a good one around them

    Returns
    -------
    int, how often `level` had to do
    """
    n_x = image.shape[1]
    alone = 0
    for pixel in pixels:
        for y in range(pixel // n_x - HALF_FILL, pixel // n_x + HALF_FILL + 1):
            for x in range(pixel % n_x - HALF_FILL, pixel % n_x + HALF_FILL + 1):
                if not hit[y, x]:
                    continue
                total, count = _0, 0
                for row in range(y - HALF_FILL, y + HALF_FILL + 1):
                    for column in range(x - HALF_FILL, x + HALF_FILL + 1):
                        if not hit[row, column] and not bad[row, column]:
                            total += image[row, column]
                            count += 1
                alone += count == 0
                image[y, x] = total / np.float32(count) if count else level
    return alone
