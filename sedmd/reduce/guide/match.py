"""Which star of the table each star of a frame is: pointing roughly known, sense and scale known, turn nearly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree
from scipy.stats import poisson

from sedmd.reduce.guide.camera import SCALE_ARCSEC, SIZE, SkyScale
from sedmd.reduce.numeric.containers import FloatArray, IntArray

#: Shifts are looked for up to so far from the pointing [px], 2.3 arcmin: the corrections in published headers are less.
SEARCH_PX = 350.0
#: Side of the cells in which pairs are counted, and how far the two of a pair may be apart after the fit [px].
CELL_PX, SAME_PX = 6.0, 3.0
#: Turns [deg] and scales tried where they are not known; both leave less than a cell at the rim.
TURNS = tuple(np.arange(-2.5, 2.51, 0.25))
SCALES_TRIED = tuple(SCALE_ARCSEC * np.arange(0.985, 1.0151, 0.005))
#: So many of the brightest of both sides vote.
VOTERS = 90
#: A match that chance would give more often than this is none; and fewer stars than this are none, with and without
#: the scale and turn of earlier frames.
CHANCE, LEAST_STARS, LEAST_KNOWN = 1e-3, 4, 3
#: Farther off than this, in units of the scatter, a pair is wrong.
CLIP = 3.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matched:
    """Stars of one frame that are found in the table.

    Attributes
    ----------
    star, entry : (n,) index of the star of the frame, and of the table's
    origin_px : (2,) column and row of the point about which the table's offsets are
    """

    star: IntArray
    entry: IntArray
    origin_px: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plate:
    """The frames of an exposure on the sky, one scale and turn for all.

    Attributes
    ----------
    sky : SkyScale
    origins_px : (n_frame, 2) column and row of the point about which offsets are, in each frame
    rms_arcsec : scatter of the stars about the fit, each axis
    count : stars of the table, each once
    pairs : of each frame (star, entry), (n, 2)
    """

    sky: SkyScale
    origins_px: FloatArray
    rms_arcsec: float
    count: int
    pairs: tuple[IntArray, ...]


def match_stars(
    places_px: FloatArray,
    offsets_arcsec: FloatArray,
    *,
    expected_px: FloatArray,
    sky: SkyScale | None = None,
    search_px: float = SEARCH_PX,
) -> Matched | None:
    """Match a frame with the table.

    Parameters
    ----------
    places_px : (n, 2) columns and rows of the stars of the frame, the brightest first
    offsets_arcsec : (m, 2) East and North of a point, of the table's stars, the brightest first
    expected_px : (2,) where that point is expected
    sky : scale and turn, if they are known
    search_px : how far it may be from there

    Returns
    -------
    Matched or None
        None where no shift fits better than chance would have it.

    Notes
    -----
    Each pair of a star of the frame and one of the table votes for the shift that would bring them together; the cell
    with most votes, of all turns and scales, is refined by least squares. Its pairs are counted against those that fall
    together by chance, in as many trials as there are cells.
    """
    if min(len(places_px), len(offsets_arcsec)) < (LEAST_STARS if sky is None else LEAST_KNOWN):
        return None
    skies = [sky] if sky else [SkyScale(scale_arcsec=s, turn_deg=t) for t, s in itertools.product(TURNS, SCALES_TRIED)]
    best, most = None, -1.0
    for one in skies:
        votes, shift = _vote(places_px[:VOTERS], one.pixels(offsets_arcsec)[: 3 * VOTERS] + expected_px, search_px)
        if votes > most:
            best, most = (one, expected_px + shift), votes
    assert best is not None
    start, origin = best
    for reach in (2 * CELL_PX, CELL_PX, SAME_PX):
        star, entry = _pairs(places_px, start.pixels(offsets_arcsec) + origin, reach)
        if len(star) < 3:
            return None
        if sky is None and len(star) >= LEAST_STARS:
            start, origins = _solve([places_px[star]], [offsets_arcsec[entry]])
            origin = origins[0]
        else:
            origin = np.median(places_px[star] - start.pixels(offsets_arcsec[entry]), axis=0)
    star, entry = _pairs(places_px, start.pixels(offsets_arcsec) + origin, SAME_PX)
    trials = len(skies) * (2 * search_px / SAME_PX) ** 2
    on_chip = (np.abs(start.pixels(offsets_arcsec) + origin - SIZE / 2) < SIZE / 2).all(axis=1).sum()
    by_chance = len(places_px) * on_chip * np.pi * SAME_PX**2 / SIZE**2
    least = LEAST_STARS if sky is None else LEAST_KNOWN
    if len(star) < least or poisson.sf(len(star) - 1, by_chance) * trials > CHANCE:
        return None
    return Matched(star=star, entry=entry, origin_px=origin)


def solve_plate(
    places_px: Sequence[FloatArray],
    offsets_arcsec: FloatArray,
    matches: Sequence[Matched],
    *,
    sky: SkyScale | None = None,
) -> Plate | None:
    """Scale, turn and the shift of each frame, by least squares over all pairs, outliers rejected.

    Parameters
    ----------
    places_px : of each frame (n, 2)
    offsets_arcsec : (m, 2) of the table
    matches : of each frame
    sky : scale and turn where too few stars tell them

    Returns
    -------
    Plate or None
        None where fewer than `LEAST_STARS` stars are left, or `LEAST_KNOWN` with a scale that is known.
    """
    pairs = [np.column_stack([one.star, one.entry]) for one in matches]
    known = sky or SkyScale()
    for _ in range(4):
        count = len({int(entry) for pair in pairs for entry in pair[:, 1]})
        if count < (LEAST_STARS if sky is None else LEAST_KNOWN) or min(map(len, pairs)) < 2:
            return None
        given = [places[pair[:, 0]] for places, pair in zip(places_px, pairs, strict=True)]
        told = [offsets_arcsec[pair[:, 1]] for pair in pairs]
        if sky is not None and count < 2 * LEAST_STARS:
            origins = np.array([np.mean(g - sky.pixels(t), axis=0) for g, t in zip(given, told, strict=True)])
        else:
            known, origins = _solve(given, told)
        off = [
            np.abs(g - known.pixels(t) - origin).max(axis=1) for g, t, origin in zip(given, told, origins, strict=True)
        ]
        limit = CLIP * max(1.4826 * float(np.median(np.concatenate(off))), 0.1)
        kept = [pair[one <= limit] for pair, one in zip(pairs, off, strict=True)]
        if sum(map(len, kept)) == sum(map(len, pairs)):
            break
        pairs = kept
    residuals = np.concatenate(
        [g - known.pixels(t) - origin for g, t, origin in zip(given, told, origins, strict=True)]
    )
    freedom = max(residuals.size - 2 * len(pairs) - 2, 1)
    rms = float(np.sqrt((residuals**2).sum() / freedom)) * known.scale_arcsec
    return Plate(sky=known, origins_px=origins, rms_arcsec=rms, count=count, pairs=tuple(pairs))


def _vote(places: FloatArray, expected: FloatArray, search_px: float) -> tuple[float, FloatArray]:
    """Most votes for a shift, and the shift [px]."""
    differences = (places[:, None] - expected[None]).reshape(-1, 2)
    differences = differences[(np.abs(differences) < search_px).all(axis=1)]
    count = int(np.ceil(2 * search_px / CELL_PX))
    cells = np.clip(((differences + search_px) / CELL_PX).astype(int), 0, count - 1)
    votes = np.bincount(cells[:, 0] * count + cells[:, 1], minlength=count**2).reshape(count, count).astype(float)
    # a peak may lie across the border of two cells; of cells that are alike the one that holds most itself
    near = uniform_filter(votes, 3, mode="constant") * 9 + 1e-3 * votes
    at = np.unravel_index(int(np.argmax(near)), near.shape)
    return float(near[at]), (np.array(at) + 0.5) * CELL_PX - search_px


def _pairs(places: FloatArray, expected: FloatArray, reach_px: float) -> tuple[IntArray, IntArray]:
    """Nearest neighbours of each other within a reach: indices of both."""
    there, index = cKDTree(expected).query(places)
    _, back = cKDTree(places).query(expected)
    star: NDArray[np.intp] = np.flatnonzero((there < reach_px) & (back[index] == np.arange(len(places))))
    return star, index[star]


def _solve(places: Sequence[FloatArray], offsets: Sequence[FloatArray]) -> tuple[SkyScale, FloatArray]:
    """Scale and turn of all frames, and the origin of each, (n, 2) px, by linear least squares.

    x = x0 - (a East - b North), y = y0 - (b East + a North), with a, b cosine and sine of the turn over the scale.
    """
    middles = [(g.mean(axis=0), t.mean(axis=0)) for g, t in zip(places, offsets, strict=True)]
    given = np.concatenate([g - middle for g, (middle, _) in zip(places, middles, strict=True)])
    east, north = np.concatenate([t - middle for t, (_, middle) in zip(offsets, middles, strict=True)]).T
    norm = float((east**2 + north**2).sum())
    a = -float((given[:, 0] * east + given[:, 1] * north).sum()) / norm
    b = float((given[:, 0] * north - given[:, 1] * east).sum()) / norm
    sky = SkyScale(scale_arcsec=1 / float(np.hypot(a, b)), turn_deg=float(np.rad2deg(np.arctan2(b, a))))
    return sky, np.array([g - sky.pixels(t[None])[0] for g, t in middles])
