"""The light of all traces, column by column of the detector: what a fit of it needs, and the image it makes.

A frame lies here with its columns first, ``(n_x, n_y)``: traces run across it some eight rows apart, so that all that
the fit of one column reads lies together. Samples come sorted by column, then row; ``start[i]`` to ``start[i + 1]`` are
those of column ``column[i]``. Shares of the profile are looked up where they are needed: to keep them would take forty
times the memory of the fluxes, and to read them back longer than to look them up.
"""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.compiled import compiled

#: So many samples next in row may overlap with the profile of a sample in the same column.
NEIGHBOURS = 4


@compiled("void(float64, float64, float64[::1], float64, int64, int64, float64[::1])")
def look_up(y, sigma, table, step, first, size, values):  # type: ignore[no-untyped-def]
    """Interpolate a table over ``(row - y) / sigma``, symmetric about 0, at rows on end.

    Parameters
    ----------
    y, sigma : row of the trace's centre and width of its core, pixel
    table, step : (m + 1,) table, one more value after its end, and its spacing in widths
    first, size : first row and number of rows
    values : (size,) is filled; zero beyond the table
    """
    last = table.size - 2
    per_row = 1.0 / (sigma * step)
    begin = (first - y) * per_row + 0.5 * last
    low, high = 0, size
    while low < high and not begin + low * per_row >= 0.0:  # put so that a width of NaN gives no light
        values[low] = 0.0
        low += 1
    while high > low and not begin + (high - 1) * per_row <= last:
        high -= 1
        values[high] = 0.0
    for j in range(low, high):
        position = begin + j * per_row
        index = np.uint64(position)
        left = table[index]
        values[j] = left + (position - index) * (table[index + np.uint64(1)] - left)


@compiled("void(float64[:, ::1], float64[::1], int64, int64)")
def solve_bands(matrix, right, size, bands):  # type: ignore[no-untyped-def]
    """Solve a symmetric, positive definite system of few bands by the factors L D L^T, in place.

    Parameters
    ----------
    matrix : (>= size, >= bands) ``matrix[k, m]`` is the element of row k + m and column k; holds the factors afterwards
    right : (>= size,) right-hand side; holds the solution afterwards
    size, bands : number of unknowns; of the bands, the diagonal included

    Notes
    -----
    Golub & Van Loan, Matrix Computations, section 4.3: elimination column by column fills nothing outside the bands.
    """
    for k in range(size):
        inverse = 1.0 / matrix[k, 0]
        for m in range(1, min(bands, size - k)):
            factor = matrix[k, m] * inverse
            for i in range(m, min(bands, size - k)):
                matrix[k + m, i - m] -= factor * matrix[k, i]
            right[k + m] -= factor * right[k]
    for k in range(size - 1, -1, -1):
        left = right[k]
        for m in range(1, min(bands, size - k)):
            left -= matrix[k, m] * right[k + m]
        right[k] = left / matrix[k, 0]


@compiled(
    "void(int64[::1], int64[::1], float64[::1], float64[::1], float32[:, ::1], float32[:, ::1], float64[::1], float64,"
    " int64, float64[:, ::1])"
)
def fit_columns(column, start, y, sigma, light, weight, table, step, half_height, fitted):  # type: ignore[no-untyped-def]
    """Least-squares flux of every sample of some columns.

    Parameters
    ----------
    column, start : (m,) and (m + 1,) columns and the samples that belong to each
    y, sigma : (n,) row of the centre and width of each sample, pixel
    light, weight : (n_x, n_y) electron without background, and electron**-2; 0 where a pixel must not count
    table, step : the profile, see `look_up`
    half_height : rows on each side of a sample that take part
    fitted : (5, n) is filled: flux, variance, share of the profile on pixels without weight, the product of
        right-hand side and flux (the light that the fit explains, in units of its variance), largest share of a pixel

    Notes
    -----
    The normal equations are scaled to a diagonal of ones; their other elements are then the correlations of
    neighbouring profiles. Two traces on top of each other cannot be separated: their correlation is held below one so
    that both keep a finite, very uncertain flux instead of ending the fit for everybody. The variance is the diagonal
    of the inverse to second order in the correlations.
    """
    ny = light.shape[1]
    width = 2 * half_height + 1
    most = 0
    for i in range(column.size):
        most = max(most, start[i + 1] - start[i])
    share = np.empty((most, width))
    weighted = np.empty((most, width))
    row = np.empty(most, np.int64)
    scale, right, load, schur = np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    matrix = np.empty((most, NEIGHBOURS + 1))
    for i in range(column.size):
        x, begin = column[i], start[i]
        size = start[i + 1] - begin
        for k in range(size):
            first = np.int64(np.rint(y[begin + k])) - half_height
            row[k] = first
            sum_share, good_share, square, product, peak = 0.0, 0.0, 0.0, 0.0, 0.0
            look_up(y[begin + k], sigma[begin + k], table, step, first, width, share[k])
            low, high = max(0, -first), min(width, ny - first)
            per_row = 1.0 / sigma[begin + k]
            for j in range(low):
                share[k, j], weighted[k, j] = 0.0, 0.0
            for j in range(high, width):
                share[k, j], weighted[k, j] = 0.0, 0.0
            for j in range(low, high):
                s, w = share[k, j] * per_row, np.float64(weight[x, first + j])
                share[k, j], weighted[k, j] = s, s * w
                sum_share += s
                good_share += s if w > 0.0 else 0.0
                square += s * w * s
                product += s * w * light[x, first + j]
                peak = max(peak, s)
            scale[k] = np.sqrt(square) if square > 0.0 else 1.0
            right[k] = product / scale[k]
            load[k], schur[k] = 0.0, 0.0
            fitted[0, begin + k] = square
            fitted[2, begin + k] = 1.0 - good_share / sum_share if sum_share > 0.0 else 1.0
            fitted[3, begin + k] = product
            fitted[4, begin + k] = peak
        bands = 1
        for k in range(size):
            matrix[k, 0] = 1.0
            for m in range(1, min(NEIGHBOURS + 1, size - k)):
                # Pixel j of a sample is pixel j - offset of its neighbour.
                offset = row[k + m] - row[k]
                overlap = 0.0
                bands = max(bands, m + 1 if offset < width else 1)
                for j in range(max(0, offset), min(width, width + offset)):
                    overlap += weighted[k, j] * share[k + m, j - offset]
                matrix[k, m] = overlap / (scale[k] * scale[k + m])
                load[k] += abs(matrix[k, m])
                load[k + m] += abs(matrix[k, m])
        for k in range(size):
            for m in range(1, min(bands, size - k)):
                heavier = max(load[k], load[k + m])
                if heavier > 0.95:
                    matrix[k, m] *= 0.95 / heavier
                schur[k] += matrix[k, m] ** 2
                schur[k + m] += matrix[k, m] ** 2
        solve_bands(matrix, right, size, bands)
        for k in range(size):
            square = fitted[0, begin + k]
            if square > 0.0:
                fitted[0, begin + k] = right[k] / scale[k]
                fitted[1, begin + k] = 1.0 / (square * max(1.0 - schur[k], 0.05))
                fitted[3, begin + k] *= fitted[0, begin + k]
            else:
                fitted[0, begin + k], fitted[1, begin + k], fitted[3, begin + k] = np.nan, np.nan, 0.0


@compiled(
    "void(int64[::1], int64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64, int64,"
    " float32[:, ::1])"
)
def draw_columns(column, start, y, sigma, flux, table, step, half_height, image):  # type: ignore[no-untyped-def]
    """Light of the traces in every pixel of some columns.

    Parameters
    ----------
    column, start, y, sigma, table, step, half_height : as in `fit_columns`
    flux : (n,) electron; NaN counts as none
    image : (n_x, n_y) is filled in those columns
    """
    ny = image.shape[1]
    width = 2 * half_height + 1
    share, light = np.empty(width), np.empty(ny)
    for i in range(column.size):
        light[:] = 0.0
        for k in range(start[i], start[i + 1]):
            if flux[k] != flux[k]:
                continue
            first = np.int64(np.rint(y[k])) - half_height
            look_up(y[k], sigma[k], table, step, first, width, share)
            level = flux[k] / sigma[k]
            for j in range(max(0, -first), min(width, ny - first)):
                light[first + j] += share[j] * level
        for j in range(ny):
            image[column[i], j] = light[j]


@compiled(
    "void(int64[::1], int64[::1], float64[::1], float64[::1], float64[::1], float32[:, ::1], float32[:, ::1],"
    " boolean[:, ::1], float64[::1], float64[::1], float64[::1], float64, int64, float64, float64, float64[:, ::1])"
)
def shift_columns(  # type: ignore[no-untyped-def]
    column, start, y, sigma, flux, residual, weight, bad, table, slope, stretch, step, reach, model_error, least, sums
):
    """What the residuals of some columns say about a common shift and a common width of all traces.

    Parameters
    ----------
    column, start, y, sigma, step : as in `fit_columns`
    flux : (n,) electron; NaN counts as none
    residual, weight, bad : (n_x, n_y) electron, electron**-2, and pixels that must not count
    table, slope, stretch : the profile and its derivatives, see `sedmd.reduce.traces.profile`
    model_error : uncertainty of the profile, as a share of a pixel's light in a trace, beside the noise's
    least : signal to noise of a sample from which it tells the width: a faint one's noise makes its flux, too, and
        would seem to widen it
    reach : rows on each side that the profile covers
    sums : (m, 4) is filled for each column: sum of weight x slope**2, sum of weight x slope x residual, and the same
        two with the derivative by the relative width, of which that part is taken away that a change of the flux is
    """
    ny = residual.shape[1]
    width = 2 * reach + 1
    share, bend, swell = np.empty(width), np.empty(width), np.empty(width)
    for i in range(column.size):
        x = column[i]
        row2, row1, width2, width1 = 0.0, 0.0, 0.0, 0.0
        for k in range(start[i], start[i + 1]):
            if flux[k] != flux[k]:
                continue
            first = np.int64(np.rint(y[k])) - reach
            look_up(y[k], sigma[k], table, step, first, width, share)
            look_up(y[k], sigma[k], slope, step, first, width, bend)
            look_up(y[k], sigma[k], stretch, step, first, width, swell)
            level = flux[k] / sigma[k]
            of_flux, with_flux, wide2, left_of_flux, left_of_width = 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(max(0, -first), min(width, ny - first)):
                w = np.float64(weight[x, first + j])
                if w > 0.0 and not bad[x, first + j]:
                    light, wider = level * share[j], level * swell[j]
                    left = np.float64(residual[x, first + j])
                    w /= 1.0 + w * (model_error * light) ** 2
                    change = -bend[j] * level / sigma[k]
                    row2 += w * change * change
                    row1 += w * change * left
                    of_flux += w * light * light
                    with_flux += w * light * wider
                    wide2 += w * wider * wider
                    left_of_flux += w * light * left
                    left_of_width += w * wider * left
            if of_flux > least * least:
                width2 += wide2 - with_flux * with_flux / of_flux
                width1 += left_of_width - with_flux / of_flux * left_of_flux
        sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3] = row2, row1, width2, width1


@compiled("float64(float64, float64, float64)")
def _pixel_weight(expected, variance, residual):  # type: ignore[no-untyped-def]
    """Inverse variance of a pixel under a trace, and 0 for one that is far off: six sigma and 0.3 of its light."""
    return 1.0 / variance if abs(residual) < 6.0 * np.sqrt(variance) + 0.3 * expected else 0.0


@compiled(
    "void(int64[::1], int64[::1], float64[::1], float64[::1], float64[::1], float32[:, ::1], float32[:, ::1],"
    " boolean[:, ::1], float64[::1], float64[::1], float64[::1], float64, int64, float64[:, ::1])"
)
def pull_columns(  # type: ignore[no-untyped-def]
    column, start, y, sigma, flux, residual, variance, good, table, slope, stretch, step, half_height, pulls
):
    """What the residuals around each sample say about its row and its width.

    Parameters
    ----------
    column, start, y, sigma, step, half_height : as in `fit_columns`
    flux : (n,) electron
    residual, variance, good : (n_x, n_y) electron, the square of its error, whosever light it comes from, and whether a
        pixel can be used
    table, slope, stretch : the profile and its derivatives, see `sedmd.reduce.traces.profile`
    pulls : (6, n) is filled: sums over the sample's pixels of weight x slope**2, weight x slope x residual, the same
        two with the derivative by the width, weight x residual**2, and the number of pixels with weight
    """
    ny = residual.shape[1]
    width = 2 * half_height + 1
    share, bend, swell = np.empty(width), np.empty(width), np.empty(width)
    for i in range(column.size):
        x = column[i]
        for k in range(start[i], start[i + 1]):
            first = np.int64(np.rint(y[k])) - half_height
            look_up(y[k], sigma[k], table, step, first, width, share)
            look_up(y[k], sigma[k], slope, step, first, width, bend)
            look_up(y[k], sigma[k], stretch, step, first, width, swell)
            level = flux[k] / sigma[k]
            row2, row1, width2, width1, chi2, count = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(max(0, -first), min(width, ny - first)):
                if not good[x, first + j]:
                    continue
                left = np.float64(residual[x, first + j])
                w = _pixel_weight(level * share[j], np.float64(variance[x, first + j]), left)
                if w > 0.0:
                    by_row, by_width = -bend[j] * level / sigma[k], swell[j] * level / sigma[k]
                    row2 += w * by_row * by_row
                    row1 += w * by_row * left
                    width2 += w * by_width * by_width
                    width1 += w * by_width * left
                    chi2 += w * left * left
                    count += 1.0
            pulls[0, k], pulls[1, k], pulls[2, k], pulls[3, k] = row2, row1, width2, width1
            pulls[4, k], pulls[5, k] = chi2, count


@compiled(
    "void(int64[::1], int64[::1], float64[::1], float64[::1], float64[::1], float32[:, ::1], float32[:, ::1],"
    " boolean[:, ::1], float64[::1], float64, int64, float64, float64[:, ::1])"
)
def profile_columns(  # type: ignore[no-untyped-def]
    column, start, y, sigma, flux, residual, variance, good, table, step, half_height, brighter, sums
):
    """Observed shares of the bright samples' light, summed where they belong in the table of the profile.

    Parameters
    ----------
    column, start, y, sigma, flux, residual, variance, good, table, step, half_height : as in `pull_columns`
    brighter : electron, samples of more than this take part
    sums : (2, m) to which the weight, and weight x sigma x share, of each pixel is added

    Notes
    -----
    A pixel between two entries of the table counts in both, by its distance (a tent): dividing by the sum of the same
    tents removes the first-order bias of a sloping profile.
    """
    ny = residual.shape[1]
    width = 2 * half_height + 1
    last = table.size - 2
    share = np.empty(width)
    for i in range(column.size):
        x = column[i]
        for k in range(start[i], start[i + 1]):
            if not flux[k] > brighter:
                continue
            first = np.int64(np.rint(y[k])) - half_height
            look_up(y[k], sigma[k], table, step, first, width, share)
            level = flux[k] / sigma[k]
            for j in range(max(0, -first), min(width, ny - first)):
                if not good[x, first + j]:
                    continue
                left = np.float64(residual[x, first + j])
                w = _pixel_weight(level * share[j], np.float64(variance[x, first + j]), left) * level * level
                position = (first + j - y[k]) / (sigma[k] * step) + 0.5 * last
                if 0.0 <= position <= last:
                    index = np.int64(position)
                    fraction = position - index
                    value = w * (left / level + share[j])
                    upper = min(index + 1, last)
                    sums[0, index] += w * (1.0 - fraction)
                    sums[1, index] += value * (1.0 - fraction)
                    sums[0, upper] += w * fraction
                    sums[1, upper] += value * fraction
