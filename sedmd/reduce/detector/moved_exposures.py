"""Whether the spectra of two exposures of one lamp lie on the same pixels. Exposures that do not are never averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sedmd.reduce.detector.checks import GAP_ROWS
from sedmd.reduce.loops.gaps import rooted_light
from sedmd.reduce.numeric.containers import Image

#: Side of the pieces of the detector that are compared, so that a turned array shows too [pixel].
PIECE_PX = 512
#: Farthest shift that is looked for [pixel]; what moved farther is not found where it was either.
REACH_PX = 12
#: The same for two different lamps, whose spectra look alike again a row of spectra farther: six to nine pixels.
REACH_ROWS = 3
#: Exposures of one lamp farther apart than this are of two geometries [pixel]. At one position of the telescope flexure
#: is some hundredths; half a pixel would broaden the lines of a mean by a tenth.
SAME_PX = 0.5
#: Light below so many times the noise of a pixel is noise.
SIGNIFICANT = 4.0


def groups_alike(images: Sequence[Image], *, lines: bool) -> list[list[int]]:
    """Exposures of one lamp, put together where their spectra lie on the same pixels.

    Parameters
    ----------
    images : n exposures of one shape, electron, in the order in which they were taken
    lines : whether the lamp has lines; a continuum tells nothing of a shift along the spectra

    Returns
    -------
    list of list of int
        Numbers of the exposures of each group; the group of the last exposure comes first.
    """
    groups: list[list[int]] = []
    firsts: list[NDArray[np.complexfloating]] = []  # of each group's first exposure; more are not kept
    for number in reversed(range(len(images))):
        own = _transforms(images[number])
        for place, group in enumerate(groups):
            if _distance(firsts[place], own, lines=lines) <= SAME_PX:
                group.insert(0, number)
                firsts[place] = own
                break
        else:
            groups.append([number])
            firsts.append(own)
    return groups


def shift_between(one: Image, other: Image, *, lines: bool) -> float:
    """How far the spectra of two exposures of one lamp lie apart [pixel], up to `REACH_PX` in each axis."""
    return _distance(_transforms(one), _transforms(other), lines=lines)


def rows_between(dome: Image, lamp: Image) -> float:
    """How far a lamp's spectra lie off those of the dome across the dispersion [pixel], whole rows of spectra apart."""
    return _distance(_transforms(dome), _transforms(lamp), lines=False, reach_y=REACH_ROWS)


def _transforms(image: Image) -> NDArray[np.complexfloating]:
    """Fourier transforms of the pieces of an exposure: (n_pieces, PIECE_PX, PIECE_PX // 2 + 1)."""
    data, mask = np.ascontiguousarray(image.data, np.float32), np.ascontiguousarray(image.mask, np.uint8)
    light = np.empty_like(data)
    # the root holds strong lines down; they would drown the others
    rooted_light(data, mask, np.float32(image.read_noise**2), np.float32(SIGNIFICANT), GAP_ROWS, light)
    ny, nx = (max(size // PIECE_PX, 1) for size in light.shape)
    side_y, side_x = (min(PIECE_PX, size) for size in light.shape)
    whole = light[: ny * side_y, : nx * side_x].reshape(ny, side_y, nx, side_x)
    pieces = whole.swapaxes(1, 2).reshape(ny * nx, side_y, side_x)
    return np.asarray(fft.rfft2(pieces - pieces.mean(axis=(1, 2), keepdims=True)))


def _distance(
    one: NDArray[np.complexfloating], other: NDArray[np.complexfloating], *, lines: bool, reach_y: int = REACH_PX
) -> float:
    """Median distance between two exposures over those pieces that have most in common."""
    together = np.asarray(fft.irfft2(one * np.conj(other)))
    reach_x = REACH_PX if lines else 0
    near = np.roll(together, (reach_y, reach_x), axis=(1, 2))[:, : 2 * reach_y + 1, : 2 * reach_x + 1]
    height = near.max(axis=(1, 2))
    lit = np.flatnonzero(height >= np.median(height))
    return float(np.median([_peak_distance(near[piece]) for piece in lit]))


def _peak_distance(near: NDArray[np.floating]) -> float:
    """Distance of a correlation's peak from the middle, by the parabola through its top in each axis."""
    y, x = (int(at) for at in np.unravel_index(int(near.argmax()), near.shape))
    return float(np.hypot(_top(near[:, x], y), _top(near[y], x)))


def _top(line: NDArray[np.floating], at: int) -> float:
    """Place of a peak at index `at`, from the middle of the line."""
    middle = (len(line) - 1) // 2
    if not 0 < at < len(line) - 1:
        return float(at - middle)
    low, top, high = (float(value) for value in line[at - 1 : at + 2])
    return at - middle + 0.5 * (low - high) / min(low - 2 * top + high, -1e-30)
