"""What acquisition and guider frames would tell of a simulated field, with the errors that they have.

The camera and the spectrograph bend against each other: where in the field the guider's pixel falls differs from
exposure to exposure (`FLEXES`). It was learned from `LANDINGS` earlier objects, each with such a difference and the
error of its own plate; of each exposure the plate's error is one of `PLATES`. Some exposures have no plate, and of
some only the acquisition frame tells, with the error of the telescope's step to the spectrograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sedmd.products.guide import ACQUISITION, GUIDER, GuideRecord
from sedmd.reduce.target.place import FieldPosition, Place, learn_place
from sedmd.run.rc_frames import LEAST_LINK, LINK_SPREAD
from sedmd.steps.guiding import STEP_ERROR

LANDINGS = 12
#: Least and largest error of a plate, and of the camera against the spectrograph, 1 sigma in each axis [arcsec].
PLATES, FLEXES = (0.05, 0.3), (0.1, 0.4)
#: How often only the acquisition frame has a plate, and how often none has.
ACQUISITION_SHARE, NOTHING_SHARE = 0.06, 0.06
#: Error of the field stars' FWHM, and how far it is from the spectrograph's own, 1 sigma in units of it.
FWHM_ERROR, FWHM_UNLIKE = 0.02, 0.06

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """The rainbow camera of some nights: where its pixel falls in the field, by how much that moves, what is known."""

    pixel: Point
    flex_arcsec: float
    link: Place


def camera_of(rng: np.random.Generator) -> Camera:
    """A camera whose place in the field was learned."""
    x, y = rng.normal(0.0, 2.0, 2)
    flex = _drawn(FLEXES, rng)
    landed = []
    for _ in range(LANDINGS):
        dx, dy = rng.normal(0.0, np.hypot(flex, _drawn(PLATES, rng)), 2)
        landed.append(FieldPosition(x_arcsec=float(x + dx), y_arcsec=float(y + dy), night="20211002"))
    link = learn_place(landed, usual=LINK_SPREAD, least=LEAST_LINK)
    return Camera(pixel=(float(x), float(y)), flex_arcsec=flex, link=link)


def records_of(
    camera: Camera, places: Sequence[Point], fwhm_arcsec: Sequence[float], rng: np.random.Generator
) -> list[GuideRecord]:
    """What the frames of each exposure tell.

    Parameters
    ----------
    camera : Camera
    places : where the target is, or would be, in each exposure [arcsec]
    fwhm_arcsec : of a star in each
    rng : of the errors
    """
    # both exposures of a pair are of the same hour: the camera has not moved in between
    flex = rng.normal(0.0, camera.flex_arcsec, 2)
    records = []
    for (x, y), fwhm in zip(places, fwhm_arcsec, strict=True):
        plate, chance = _drawn(PLATES, rng), rng.random()
        if chance < NOTHING_SHARE:
            records.append(GuideRecord(link=camera.link))
            continue
        source = ACQUISITION if chance < NOTHING_SHARE + ACQUISITION_SHARE else GUIDER
        error = plate if source == GUIDER else float(np.hypot(plate, STEP_ERROR))
        east, north = np.array([x, y]) - camera.pixel - flex + rng.normal(0.0, error, 2)
        told = None if source == ACQUISITION else float(fwhm * np.exp(rng.normal(0.0, FWHM_UNLIKE)))
        records.append(
            GuideRecord(
                source=source,
                east_arcsec=float(east),
                north_arcsec=float(north),
                error_arcsec=error,
                link=camera.link,
                seeing_arcsec=told,
                seeing_error_arcsec=None if told is None else FWHM_ERROR * told,
            )
        )
    return records


def _drawn(limits: Point, rng: np.random.Generator) -> float:
    """Between two limits, logarithmically."""
    return float(np.exp(rng.uniform(*np.log(limits))))
