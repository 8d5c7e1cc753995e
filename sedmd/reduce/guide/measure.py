"""All that acquisition or guider frames of one exposure tell: pointing, drift, seeing, transparency; each may lack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sedmd.reduce.guide.brightness import ZeroPoint, zero_point
from sedmd.reduce.guide.camera import SkyScale, spectrograph_pixel
from sedmd.reduce.guide.finder import DetectedStars, find_stars
from sedmd.reduce.guide.match import SEARCH_PX, Matched, match_stars, solve_plate
from sedmd.reduce.guide.sky import tangent_plane
from sedmd.reduce.guide.stars import FieldStars
from sedmd.reduce.numeric.containers import FloatArray

#: A plate with more scatter than this is none [arcsec].
MOST_RMS = 0.5
#: Error of a position that no number of stars takes away [arcsec]: distortion of the camera, the target's coordinates.
FLOOR_ARCSEC = 0.08
#: From frame to frame of an exposure the telescope moves less than this [px].
STEP_PX = 40.0
#: Guiding holds a star within this, from one frame to another [px].
GUIDED_PX = 6.0
#: Widths of stars agree better than this, as a fraction; those of stars, galaxies and cosmic rays do not.
MOST_SCATTER = 0.12
#: Fewest stars whose width is the seeing's; an error of it that no number takes away.
LEAST_WIDTHS, SEEING_FLOOR = 3, 0.02


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RcImage:
    """One frame of the rainbow camera: pixels as read, (2048, 2048) adu; seconds, electron/adu, and the middle of its
    exposure in seconds from the first shutter's."""

    data: NDArray[np.integer] | FloatArray
    exptime_s: float
    gain: float
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePointing:
    """Where the target stands, from the table's stars.

    Attributes
    ----------
    east_arcsec, north_arcsec : of the pixel where the published step puts the spectrograph's field
    error_arcsec : in each axis
    rms_arcsec : scatter of the stars about the fit, each axis
    count : stars
    sky : SkyScale
    drift_arcsec : (East, North) from the first frame to the last, by a straight line through all; None for one frame
    wander_arcsec : scatter of the frames about that line; None for fewer than four
    """

    east_arcsec: float
    north_arcsec: float
    error_arcsec: float
    rms_arcsec: float
    count: int
    sky: SkyScale
    drift_arcsec: tuple[float, float] | None = None
    wander_arcsec: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RcMeasured:
    """What frames of the rainbow camera tell of one exposure.

    Attributes
    ----------
    frames : how many were measured
    stars : found in a frame, median
    pointing : None where too few stars are in the table's places
    seeing_arcsec, seeing_error_arcsec : FWHM at 6500 Angstrom; None where too few stars are bright
    zero_points : by filter, those that have a star
    lacking : why something is not there, in sentences
    """

    frames: int
    stars: int
    pointing: TruePointing | None = None
    seeing_arcsec: float | None = None
    seeing_error_arcsec: float | None = None
    zero_points: Mapping[str, ZeroPoint] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


def measure_frames(
    images: Sequence[RcImage],
    table: FieldStars | None,
    centre_deg: tuple[float, float] | None,
    *,
    expected_px: FloatArray,
    shifts_arcsec: Mapping[str, tuple[float, float]] | None = None,
    extinction_mag: Mapping[str, float] | None = None,
    sky: SkyScale | None = None,
) -> RcMeasured:
    """Measure frames that were taken with one pointing of the telescope.

    Parameters
    ----------
    images : at least one
    table : stars about the target, the brightest first; None without a star table
    centre_deg : right ascension and declination of the target; None where no header tells
    expected_px : (2,) where it is expected, to about two arcmin
    shifts_arcsec : by filter, refraction of its light against that of 6500 Angstrom, East and North
    extinction_mag : by filter, of the clear air at this airmass
    sky : scale and turn of earlier frames
    """
    found = [find_stars(one.data, exptime_s=one.exptime_s, gain=one.gain) for one in images]
    lacking: list[str] = []
    seeing = _seeing(found, _recurring(found), sky or SkyScale(), least=LEAST_WIDTHS, most_scatter=MOST_SCATTER)
    pointing, zero_points = None, dict[str, ZeroPoint]()
    if table is None or centre_deg is None:
        why = "no star table" if table is None else "no coordinates of the target in the header"
        lacking.append(f"position and transparency: {why}")
    else:
        offsets = tangent_plane(table.ra_deg, table.dec_deg, centre_deg)
        places = [_places(one, shifts_arcsec or {}, sky or SkyScale()) for one in found]
        matches = _matches(places, offsets, expected_px, sky)
        used = [number for number, match in enumerate(matches) if match is not None]
        plate = solve_plate(
            [places[number] for number in used],
            offsets,
            [match for match in matches if match is not None],
            sky=sky,
        ) if used else None  # fmt: skip
        if plate is None:
            lacking.append(f"position and transparency: {_unmatched(found, table)}")
        elif plate.rms_arcsec > MOST_RMS:
            lacking.append(f"position: the stars scatter by {plate.rms_arcsec:.2f} arcsec about the fit")
        else:
            times = np.array([images[number].at_s for number in used])
            pointing = _pointing(plate.sky, plate.origins_px, times, plate.rms_arcsec, plate.count)
            chosen = [found[number] for number in used]
            # a star of the table is no cosmic ray and no galaxy: its width is the seeing's
            seeing = _seeing(chosen, [pair[:, 0] for pair in plate.pairs], plate.sky, least=1)
            chosen = [_as_wide_as_matched(one, pair) for one, pair in zip(chosen, plate.pairs, strict=True)]
            zero_points = _zero_points(chosen, plate.pairs, table, extinction_mag or {})
    if seeing is None:
        lacking.append(f"seeing: fewer than {LEAST_WIDTHS} bright stars")
    return RcMeasured(
        frames=len(images),
        stars=int(np.median([len(one) for one in found])),
        pointing=pointing,
        seeing_arcsec=None if seeing is None else seeing[0],
        seeing_error_arcsec=None if seeing is None else seeing[1],
        zero_points=zero_points,
        lacking=tuple(lacking),
    )


def _unmatched(found: Sequence[DetectedStars], table: FieldStars) -> str:
    stars = int(np.median([len(one) for one in found]))
    return f"the {stars} stars of a frame do not match the {len(table)} of the table"


def _seeing(
    found: Sequence[DetectedStars],
    chosen: Sequence[NDArray[np.integer]],
    sky: SkyScale,
    *,
    least: int,
    most_scatter: float = np.inf,
) -> tuple[float, float] | None:
    """FWHM [arcsec] and its error, mean over the frames: the light of the whole exposure is as wide."""
    given = [one.fwhm_px[these] for one, these in zip(found, chosen, strict=True)]
    widths = [one[np.isfinite(one)] * sky.scale_arcsec for one in given]
    widths = [one for one in widths if len(one) >= least and _scatter(one) <= most_scatter * np.median(one)]
    if sum(map(len, widths)) < LEAST_WIDTHS:
        return None
    mean = np.array([np.median(one) for one in widths])
    own = np.array([1.2533 * _scatter(one) / math.sqrt(len(one)) for one in widths])
    error = math.hypot(float(np.sqrt((own**2).sum())) / len(own), SEEING_FLOOR * float(mean.mean()))
    if len(mean) > 1:
        error = math.hypot(error, float(mean.std(ddof=1)) / math.sqrt(len(mean)))
    return float(mean.mean()), error


def _as_wide_as_matched(found: DetectedStars, pair: NDArray[np.integer]) -> DetectedStars:
    """The light of a frame's stars, measured with the width of those that are in the table."""
    widths = found.fwhm_px[pair[:, 0]]
    widths = widths[np.isfinite(widths)]
    return found.as_wide_as(float(np.median(widths))) if len(widths) else found


def _scatter(values: FloatArray) -> float:
    """Standard deviation, robust."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _recurring(found: Sequence[DetectedStars]) -> list[NDArray[np.integer]]:
    """Stars of each frame that another frame has too, as cosmic rays are not; all of them of a single frame."""
    if len(found) == 1:
        return [np.arange(len(found[0]))]
    places = [np.column_stack([one.x, one.y]) for one in found]
    seen: list[NDArray[np.integer]] = []
    for number, mine in enumerate(places):
        others = np.concatenate([one for other, one in enumerate(places) if other != number])
        near = cKDTree(others).query(mine)[0] if len(others) and len(mine) else np.full(len(mine), np.inf)
        seen.append(np.flatnonzero(near < GUIDED_PX))
    return seen


def _places(found: DetectedStars, shifts: Mapping[str, tuple[float, float]], sky: SkyScale) -> FloatArray:
    """Columns and rows of stars as light of 6500 Angstrom would have them."""
    places = np.column_stack([found.x, found.y])
    for band, shift in shifts.items():
        places[found.band == band] -= sky.pixels(np.array([shift]))[0]
    return places


def _matches(
    places: Sequence[FloatArray], offsets: FloatArray, expected_px: FloatArray, sky: SkyScale | None
) -> list[Matched | None]:
    """Each frame with the table: the first that matches tells the others where they point."""
    made: list[Matched | None] = []
    expected, known, reach = expected_px, sky, SEARCH_PX
    for one in places:
        made.append(match_stars(one, offsets, expected_px=expected, sky=known, search_px=reach))
        found = made[-1]
        if found is not None and reach == SEARCH_PX:
            expected, reach = found.origin_px, STEP_PX
            plate = solve_plate([one], offsets, [found], sky=sky)
            known = known if plate is None else plate.sky
    return made


def _pointing(sky: SkyScale, origins_px: FloatArray, at_s: FloatArray, rms_arcsec: float, count: int) -> TruePointing:
    """From where the target falls in each frame."""
    offsets = sky.offsets(origins_px - spectrograph_pixel())
    east, north = offsets.mean(axis=0)
    drift, wander = None, None
    if len(offsets) > 1 and np.ptp(at_s) > 0:
        lines = [np.polynomial.Polynomial.fit(at_s, axis, 1).convert().coef for axis in offsets.T]
        slopes = [float(line[1]) if len(line) > 1 else 0.0 for line in lines]
        drift = (slopes[0] * float(np.ptp(at_s)), slopes[1] * float(np.ptp(at_s)))
        if len(offsets) > 3:
            off = offsets - offsets.mean(axis=0) - np.outer(at_s - at_s.mean(), slopes)
            wander = float(np.sqrt((off**2).sum() / (2 * (len(off) - 2))))
    return TruePointing(
        east_arcsec=float(east),
        north_arcsec=float(north),
        error_arcsec=math.hypot(rms_arcsec / math.sqrt(count), FLOOR_ARCSEC),
        rms_arcsec=rms_arcsec,
        count=count,
        sky=sky,
        drift_arcsec=drift,
        wander_arcsec=wander,
    )


def _zero_points(
    found: Sequence[DetectedStars],
    pairs: Sequence[NDArray[np.integer]],
    table: FieldStars,
    extinction_mag: Mapping[str, float],
) -> dict[str, ZeroPoint]:
    """Of each filter of which the table's magnitudes are known: a star counts once, with its median over the frames."""
    light: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for one, pair in zip(found, pairs, strict=True):
        for star, entry in pair:
            if one.clean[star] and str(one.band[star]) in extinction_mag:
                pair_of = float(one.flux[star]), float(one.error[star])
                light.setdefault((str(one.band[star]), int(entry)), []).append(pair_of)
    made = {}
    for band in extinction_mag:
        mine = {entry: np.array(values) for (name, entry), values in light.items() if name == band}
        # what one frame in two lacks is a blend, a hit or at the rim
        mine = {entry: values for entry, values in mine.items() if 2 * len(values) >= len(found)}
        if not mine:
            continue
        flux = np.array([np.median(values[:, 0]) for values in mine.values()])
        error = np.array([np.median(values[:, 1]) / math.sqrt(len(values)) for values in mine.values()])
        found_point = zero_point(
            flux, error, table.magnitudes(band)[list(mine)], band, extinction_mag=extinction_mag[band]
        )
        if found_point is not None:
            made[band] = found_point
    return made
