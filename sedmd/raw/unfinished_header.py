"""A frame whose header was never finished: what the camera's cards, the file's name and the pixels tell of it.

The camera computer writes a whole file with its own cards; the robot adds OBJECT and all others some seconds later, or
never (robot's sedmHeader.py, 2022). Without them nothing says what was observed, or where. A long exposure with light
in it, taken while the Sun was far below the horizon, is of the sky: its cube can be made, and an observer who knows the
plan of the night can place the aperture and name it (``sedmd mend``). Anything else is left alone: nobody
would combine a calibration that does not say which lamp burnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from sedmd.core.errors import HeaderFault
from sedmd.core.sun import Observatory, sun_altitude
from sedmd.raw.airmass import airmass_at_start
from sedmd.raw.blank_frame import shows_light
from sedmd.raw.cards import number
from sedmd.raw.clocks import start_of
from sedmd.raw.frames import Frame
from sedmd.raw.labels import Kind
from sedmd.raw.lost_cards import lost_block
from sedmd.raw.mends import MEND
from sedmd.raw.rawname import stem_of

#: Altitude of the Sun below which an exposure is of the sky: the end of civil twilight. The robot observes from -12 deg
#: on (robot's sedm_observe.py, 2024), nights of former years begin somewhat earlier; calibrations are taken by day.
DARK_DEG = -6.0
#: No calibration is longer (the dome's, until 2023; robot's sedm_robot.json).
LONGEST_CALIBRATION_S = 180.0


def unfinished_frame(header: Mapping[str, object], path: Path, stored: np.ndarray, site: Observatory) -> Frame:
    """Say what can be said of a frame that has the camera's cards only.

    Parameters
    ----------
    header : mapping of keyword to value
    path : Path
    stored : (n_y, n_x) integers
        Pixels as they are in the file.
    site : Observatory

    Returns
    -------
    Frame
        Science under the name of the file, or ignored with the reason; `unfinished` is set.

    Raises
    ------
    HeaderFault
        If neither a card nor the file's name tells when it was taken.
    """
    stem = stem_of(path)
    start, lost = start_of(header, stem), lost_block(header)
    if start is None:
        msg = f"{stem}: {lost} and its start time is unknown; expected a name like ifu20190612_04_20_00; {MEND}"
        raise HeaderFault(msg)
    exptime, speed = number(header.get("EXPTIME")), number(header.get("ADCSPEED"))
    guess = _no_target(exptime, speed, start.time, stored, site)
    what = f"{lost}; the header was never finished: {guess or 'an exposure of the sky, named by its file'}"
    return Frame(
        path=path,
        stem=stem,
        kind=Kind.IGNORED if guess else Kind.SCIENCE,
        start=start.time,
        exptime_s=exptime,
        adc_speed_mhz=speed if speed is None else round(speed, 3),
        name="" if guess else stem,
        airmass=airmass_at_start(header, start.time).airmass,
        reason=f"{what}; {MEND}" if guess else "",
        contradiction="" if guess else f"{lost}: neither target nor position is known",
        name_doubtful=not guess,
        notes=(*start.notes, *(() if guess else (f"{what}; name it with: sedmd mend {stem} OBJECT=NAME",))),
        unfinished=True,
        lost=lost,
    )


def _no_target(
    exptime: float | None, speed: float | None, start: datetime, stored: np.ndarray, site: Observatory
) -> str:
    """Why this is no exposure of a target, as far as one can tell; empty if it is one."""
    if exptime is None or speed is None:
        return "EXPTIME or ADCSPEED is missing too"
    if exptime <= 1.0:
        return f"a bias by its exposure of {exptime:g} s"
    if (altitude := float(sun_altitude(np.array([start.timestamp()]), site)[0])) > DARK_DEG:
        return f"a calibration by its time (the Sun at {altitude:+.0f} deg)"
    if exptime <= LONGEST_CALIBRATION_S:
        return f"an exposure of {exptime:g} s, which may be of a lamp"
    return "" if shows_light(stored) else "no light in its pixels"
