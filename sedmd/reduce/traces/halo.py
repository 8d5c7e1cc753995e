"""Scattered light as what it is: the light of the spectra themselves, spread widely over the detector.

Between two spectra, eight rows apart, their wings are brighter than the light scattered there, so that a small error of
the profile looks like a large one of the scattered light. What tells them apart is how they lie on the frame: errors
of the profile are as bright as the spectra beside them; scattered light is the same spectra out of focus, and is there
also where there are none.

A camera's bias changes from frame to frame by some electrons along its rows, and few cameras have columns without light
to tell it: what is the same along a whole row is fitted with the halo, and is no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.optimize import lsq_linear

#: Widths of the Gaussians that the halo about a point of light is made of [pixel].
SCALES_PX = (24.0, 48.0, 96.0, 192.0, 384.0)
#: Powers of the place on the frame by which the error of the profile's feet may change, as a share of the light.
FOOT_DEGREE = 2
#: Error of the light in a block beside the noise, as a share of it: what no smooth model follows.
BLOCK_ERROR = 0.03
#: Most light that can be scattered: more is no halo of spectra, but light that has come another way.
MAX_SHARE = 0.25
#: How far the halo of a frame may differ from the dome's (its colour is another), and the feet of the profile, as a
#: share of the spectra's light. What is left of these feet beside their smooth part.
HALO_CHANGE, FOOT_CHANGE, FOOT_ERROR = 0.02, 0.01, 0.002
#: What halo and feet can differ by at most: what is more is neither, however it lies on the frame.
MAX_HALO_CHANGE, MAX_FOOT = 0.1, 0.02
#: Blocks further off than so many standard errors have no say; so many rounds of that.
FAR, ROUNDS = 4.0, 4
#: How far the rows may differ at first, electron; from then on as far as they were found to, but no less than so much.
ROW_SPREAD, LEAST_ROW_SPREAD = 10.0, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Halo:
    """How the instrument scatters the light of the spectra.

    Attributes
    ----------
    scale : (m,) sigma of each Gaussian, pixel
    share : (m,) share of a spectrum's light in each
    even : share that is spread evenly over the detector
    """

    scale: NDArray[np.floating]
    share: NDArray[np.floating]
    even: float

    @property
    def total(self) -> float:
        """Share of the light that is scattered."""
        return float(np.sum(self.share)) + self.even

    def light(self, spectra: NDArray[np.floating], block: int) -> NDArray[np.floating]:
        """Light that the spectra scatter: electron per pixel in each block.

        Parameters
        ----------
        spectra : (n, m) electron per pixel of the spectra, mean of each block; none outside the frame
        block : side of a block, pixel
        """
        found: NDArray[np.floating] = _spread(spectra, block, self.scale, self.share[None])[0]
        found += self.even * spectra.mean()
        return found


def _spread(
    spectra: NDArray[np.floating], block: int, scale: NDArray[np.floating], share: NDArray[np.floating]
) -> NDArray[np.floating]:
    """The spectra convolved with sums of Gaussians, one for each row of `share` (k, m): (k, n, m)."""
    # Twice the frame, so that what leaves it on one side does not come back on the other.
    size = [next_fast_len(2 * side, real=True) for side in spectra.shape]
    frequency = np.fft.fftfreq(size[0])[:, None] ** 2 + np.fft.rfftfreq(size[1])[None, :] ** 2
    light = rfft2(spectra, s=size)
    gaussians = [np.exp(-2.0 * (np.pi * s / block) ** 2 * frequency) for s in scale]
    rows, columns = spectra.shape
    return np.stack([irfft2(light * np.tensordot(one, gaussians, axes=1), s=size)[:rows, :columns] for one in share])


def fit_halo(
    spectra: NDArray[np.floating], between: NDArray[np.floating], weight: NDArray[np.floating], block: int
) -> Halo | None:
    """Measure on a bright frame how the instrument scatters light.

    Parameters
    ----------
    spectra : (n, m) electron per pixel of the spectra, mean of each block
    between : (n, m) what lies between the spectra there, electron per pixel
    weight : (n, m) its statistical weight, electron**-2; 0 where there is nothing between them
    block : side of a block, pixel

    Returns
    -------
    Halo, or None where the frame shows no halo of spectra: without light, or with more than spectra scatter

    Notes
    -----
    A linear fit: the light of all spectra convolved with each Gaussian, with shares that cannot be negative, and the
    light beside it times a polynomial of the place for the feet of the profile, which are none of it.
    """
    known = weight > 0
    if not known.any() or not spectra.any():
        return None
    scale = np.array(SCALES_PX)
    halos = _spread(spectra, block, scale, np.eye(scale.size))
    even = np.full(spectra.shape, spectra.mean())
    design = np.stack([*halos, even, *_feet(spectra)])[:, known].T
    is_halo = np.arange(design.shape[1]) <= scale.size
    bounds = np.where(is_halo, 0.0, -MAX_FOOT), np.where(is_halo, np.inf, MAX_FOOT)

    def fitted(value: NDArray[Any]) -> Halo:
        answer, _ = _fitted(design, value[known], weight[known], bounds)
        return Halo(scale=scale, share=answer[: scale.size], even=float(answer[scale.size]))

    halo = fitted(between)
    # Free together with it, the rows would take what tells the width of the halo.
    _, rows = _beside(spectra, halo.light(spectra, block), between, weight)
    halo = fitted(between - rows)
    return halo if 0.0 < halo.total < MAX_SHARE else None


def unlike_halo(
    spectra: NDArray[np.floating],
    halo: NDArray[np.floating],
    between: NDArray[np.floating],
    weight: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What lies between the spectra of one frame beside the halo that is known, in its smooth parts.

    Parameters
    ----------
    spectra, between, weight : (n, m) as in `fit_halo`
    halo : (n, m) electron per pixel, see `Halo.light`

    Returns
    -------
    even : (n, m) electron per pixel: an even level (dark current, an error of the bias), what is the same along a row
        (a change of the bias), and more or less of the halo
    feet : (n, m) electron per pixel: error of the profile's feet, light of the spectra and not between them
    """
    if not (weight > 0).any():
        return np.zeros(spectra.shape), np.zeros(spectra.shape)
    answer, rows = _beside(spectra, halo, between, weight)
    return answer[0] + answer[1] * halo + rows, np.tensordot(answer[2:], np.stack(_feet(spectra)), axes=1)


def _beside(
    spectra: NDArray[np.floating],
    halo: NDArray[np.floating],
    between: NDArray[np.floating],
    weight: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Even level, relative change of the halo and shares of the feet beside a halo, and level of the rows, (m,)."""
    known = weight > 0
    feet = _feet(spectra)
    design = np.stack([np.ones(spectra.shape), halo, *feet])
    # What is known of each before: nothing of the level; halo and feet differ little from those of the dome.
    spread = np.array([np.inf, HALO_CHANGE, *(FOOT_CHANGE for _ in feet)])
    most = np.array([np.inf, MAX_HALO_CHANGE, *(MAX_FOOT for _ in feet)])
    answer, found = _fitted(
        design[:, known].T,
        (between - halo)[known],
        weight[known],
        (-most, most),
        row=np.nonzero(known)[1],
        spread=spread,
        level=halo[known],
    )
    rows = np.zeros(spectra.shape[1])
    rows[: found.size] = found
    return answer, rows


def _powers(shape: tuple[int, ...], degree: int) -> list[NDArray[np.floating]]:
    """Legendre polynomials of the place on a grid of blocks, up to a total degree."""
    values = [np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, n), degree) for n in shape]
    return [np.outer(values[0][:, i], values[1][:, j]) for i in range(degree + 1) for j in range(degree + 1 - i)]


def _feet(spectra: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    return [spectra * power for power in _powers(spectra.shape, FOOT_DEGREE)]


def _fitted(
    design: NDArray[Any],
    value: NDArray[Any],
    weight: NDArray[Any],
    bounds: tuple[NDArray[Any], NDArray[Any]],
    *,
    row: NDArray[np.integer] | None = None,
    spread: NDArray[Any] | float = np.inf,
    level: NDArray[Any] | float = 0.0,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Robust linear fit within bounds, with errors that grow with the level; drawn to zero within `spread`.

    Beside it each row of blocks, if `row` says to which each belongs, has a level of its own, drawn to zero by how far
    the rows differ. Returned are the coefficients and the rows' levels. These are unknowns that are eliminated from the
    normal equations (Schur complement); their variance is that beyond their errors (method of moments, DerSimonian &
    Laird 1986).
    """
    prior = np.diag(np.broadcast_to(spread, design.shape[1]) ** -2.0)
    rows_differ = row is not None
    row = np.zeros(value.size, np.int64) if row is None else row
    n_row = int(row.max()) + 1
    near = np.ones(value.size, bool)
    model: NDArray[np.floating] = np.zeros(value.size)
    answer: NDArray[np.floating] = np.zeros(design.shape[1])
    rows: NDArray[np.floating] = np.zeros(n_row)
    row_variance = (ROW_SPREAD if rows_differ else LEAST_ROW_SPREAD) ** 2
    precision = 1.0 / (1.0 / weight + (BLOCK_ERROR * (level + model)) ** 2)
    for _ in range(ROUNDS):
        inverse = np.where(near, precision, 0.0)
        weighted = design * inverse[:, None]
        of_row = np.stack([np.bincount(row, one, n_row) for one in weighted.T])
        value_of_row = np.bincount(row, inverse * value, n_row)
        known = np.bincount(row, inverse, n_row)
        freedom = known + 1.0 / row_variance
        normal = weighted.T @ design + prior - (of_row / freedom) @ of_row.T
        right = weighted.T @ value - of_row @ (value_of_row / freedom)
        # The bounded fit of all blocks, by a square root of the normal equations: as many rows as unknowns.
        size, vector = np.linalg.eigh(normal)
        root = np.sqrt(np.maximum(size, 1e-14 * size[-1]))
        answer = lsq_linear(root[:, None] * vector.T, vector.T @ right / root, bounds=bounds).x
        left = value_of_row - answer @ of_row
        rows = left / freedom
        if rows_differ:
            excess = float((left**2 / np.maximum(known, 1e-12)).sum() - np.count_nonzero(known))
            row_variance = max(excess / float(known.sum()), LEAST_ROW_SPREAD**2)
        model = design @ answer
        precision = 1.0 / (1.0 / weight + (BLOCK_ERROR * (level + model)) ** 2)
        off = np.abs(value - model - rows[row]) * np.sqrt(precision)
        near = off < FAR * max(1.4826 * float(np.median(off)), 1e-12)
    return answer, rows
