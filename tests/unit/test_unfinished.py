"""Frames whose header was never finished: the camera's cards, the file's name and the pixels are all there is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sedmd.after.deliver.outgoing import why_not
from sedmd.core.errors import HeaderFault
from sedmd.core.instrument import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG
from sedmd.core.sun import Observatory
from sedmd.raw.blank_frame import shows_light
from sedmd.raw.frames import is_unfinished
from sedmd.raw.labels import Kind
from sedmd.raw.rawname import is_frame_stem
from sedmd.raw.unfinished_header import unfinished_frame

PALOMAR = Observatory(LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M)
#: In the middle of the night, and an hour before sunset.
NIGHT, DAY = datetime(2021, 10, 18, 7, tzinfo=UTC), datetime(2021, 10, 18, 0, 30, tzinfo=UTC)
NOISE = np.random.default_rng(1).normal(-31000, 5, (640, 640)).astype(np.int16)


def lit(share: float, level: float) -> np.ndarray:
    """Noise with light in this share of the columns."""
    pixels = NOISE.copy()
    pixels[:, : int(share * pixels.shape[1])] += np.int16(level)
    return pixels


def camera_cards(start: datetime, **changes) -> dict:
    """What the camera computer writes: 32 cards, no OBJECT."""
    cards = {
        "SIMPLE": True,
        "BITPIX": 16,
        "NAXIS": 2,
        "BZERO": 32768,
        "EXPTIME": 1800.0,
        "ADCSPEED": 0.1,
        "TEMP": -50.0,
        "UTC": start.strftime("%Y-%m-%dT%H:%M:%S.123456"),
        "END_SHUT": (start + timedelta(seconds=1828)).isoformat(),
        "OBSDATE": start.strftime("%Y-%m-%d"),
        "OBSTIME": start.strftime("%H:%M:%S"),
        "CRPIX1": 1075,
        "CDELT1": -2.5767e-06,
        "CTYPE1": "RA---TAN",
        "DETNAM": "PIXIS",
        "SER_NO": "05313416",
        "GAIN": 1.78,
    } | changes
    return {key: value for key, value in cards.items() if value is not None}


def frame(start=NIGHT, pixels=None, **changes):
    path = Path(start.strftime("ifu%Y%m%d_%H_%M_%S.fits.gz"))
    header = camera_cards(start, **changes)
    assert is_unfinished(header)
    return unfinished_frame(header, path, lit(0.3, 30) if pixels is None else pixels, PALOMAR)


def test_a_long_exposure_with_light_in_the_dark_is_of_the_sky_and_named_by_its_file():
    got = frame()
    assert (got.kind, got.name, got.exptime_s, got.adc_speed_mhz) == (Kind.SCIENCE, "ifu20211018_07_00_00", 1800.0, 0.1)
    assert abs(got.start - NIGHT) < timedelta(seconds=1)
    assert got.contradiction.startswith("the telescope's cards are missing: OBJECT, NAME, RA, DEC, AIRMASS, DOMEST")
    assert got.unfinished and got.name_doubtful and got.contradiction, "never without an observer"
    assert got.airmass is None and got.pair is None and not got.star
    assert any("sedmd mend ifu20211018_07_00_00 OBJECT=NAME" in note for note in got.notes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"EXPTIME": 0.0}, "a bias by its exposure of 0 s"),
        ({"EXPTIME": 0.001}, "a bias by its exposure of 0.001 s"),
        ({"EXPTIME": -1.0}, "a bias by its exposure of -1 s"),
        ({"EXPTIME": 40.0}, "an exposure of 40 s, which may be of a lamp"),
        ({"EXPTIME": 180.0}, "an exposure of 180 s, which may be of a lamp"),
        ({"start": DAY}, "a calibration by its time"),
        ({"pixels": NOISE}, "no light in its pixels"),
        ({"ADCSPEED": None}, "EXPTIME or ADCSPEED is missing too"),
    ],
)
def test_what_may_be_a_calibration_is_ignored_and_says_what_it_looks_like(changes, reason):
    got = frame(**changes)
    assert got.kind is Kind.IGNORED
    assert got.unfinished
    assert reason in got.reason
    assert got.reason.startswith("the telescope's cards are missing: OBJECT, NAME, RA, DEC, AIRMASS, DOMEST; ")
    assert "sedmd mend FRAME CARD=VALUE" in got.reason


def test_the_name_tells_the_time_where_no_card_does():
    got = frame(UTC=None, OBSDATE=None, OBSTIME=None)
    assert got.start == NIGHT
    header = camera_cards(NIGHT, UTC=None, OBSDATE=None, OBSTIME=None)
    with pytest.raises(HeaderFault, match="its start time is unknown"):
        unfinished_frame(header, Path("ifu.fits"), NOISE, PALOMAR)


@pytest.mark.parametrize(
    ("pixels", "seen"),
    [
        (NOISE, False),
        (NOISE * 0 - 31000, False),
        (lit(0.01, 3000), False),
        (lit(0.3, 30), True),
        (lit(0.6, 3000), True),
    ],
)
def test_light_is_more_than_noise_and_cosmic_rays(pixels, seen):
    assert shows_light(pixels) is seen


def test_nothing_is_sent_of_a_target_without_a_name(tmp_path):
    class Spectrum:
        standard, usable, calibrated, quality = False, True, True, 1
        target = "ifu20211018_07_00_00"

    assert "the target is unknown" in why_not(Spectrum())
    Spectrum.target = "ZTF21acgqhru"
    assert why_not(Spectrum()) == ""
    assert not is_frame_stem("ifu2021")
