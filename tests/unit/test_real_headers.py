"""Headers of every epoch through the reader, card by card: what a frame is, when it began, where it pointed.

The headers are ours, written as each epoch writes them (`headers_by_epoch`). Where published headers lie beside the
checkout or where SEDMD_REAL_HEADERS says, they are read as well.
"""

import json
import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedmd.core.errors import HeaderFault
from sedmd.core.nights import night_of
from sedmd.products.conditions import conditions_of
from sedmd.raw.frames import Kind, frame_from_header
from unit.headers_by_epoch import (
    AIRMASSES,
    ANGLES_DEG,
    DEC_DEG,
    EPOCHS,
    STARTS,
    TARGET_DEC_DEG,
    calibration,
    path_of,
    ra_deg,
    science,
    target_ra_deg,
    without_answer,
    without_none,
)


def read(epoch, header):
    return frame_from_header(header, path_of(epoch))


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_science_exposure(epoch):
    got = read(epoch, science(epoch))
    assert (got.kind, got.name, got.nod) == (Kind.SCIENCE, "ZTF18abcdefg", "A")
    assert got.pair is (epoch == "pairs")
    assert got.exptime_s == 2160.0 and got.adc_speed_mhz == (1.0 if epoch == "Andor" else 0.1)
    assert abs(got.start - STARTS[epoch]) < timedelta(seconds=1)
    assert got.airmass == pytest.approx(AIRMASSES[0], abs=0.0005)
    # the telescope's encoder is minutes of arc from the target
    assert (got.ra_deg, got.dec_deg) == pytest.approx((ra_deg(epoch), DEC_DEG), abs=1e-5)
    assert (got.target_ra_deg, got.target_dec_deg) == pytest.approx((target_ra_deg(epoch), TARGET_DEC_DEG), abs=1e-5)
    assert got.notes == ()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_conditions_of_a_science_exposure(epoch):
    found = conditions_of(science(epoch), path_of(epoch).stem)
    # the mean of both ends is a little more than the middle; angles are in whole degrees
    assert found.airmass == pytest.approx(AIRMASSES[1], abs=0.02)
    assert found.parallactic_deg == pytest.approx(ANGLES_DEG[1], abs=1.0)
    assert found.pressure_mbar == pytest.approx(825.0, abs=6.0)


CALIBRATIONS = [
    ("Calib: bias 3 of 10", "bias", 0.0, Kind.BIAS),
    ("Calib: dome lamp 3 of 5", "dome", 180.0, Kind.DOME),
    ("Calib:  dome 2 of 5", "dome", 180.0, Kind.DOME),
    ("Calib: Hg 1 of 4", "lamp", 30.0, Kind.HG),
    ("Calib: Xe 5 of 5", "lamp", 60.0, Kind.XE),
    ("Calib: Cd 1 of 5", "lamp", 30.0, Kind.CD),
]


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize(("label", "image_type", "exptime", "kind"), CALIBRATIONS)
def test_calibrations(epoch, label, image_type, exptime, kind):
    got = read(epoch, calibration(epoch, label, image_type, exptime))
    assert (got.kind, got.exptime_s, got.notes) == (kind, exptime, ())
    assert got.series_total in (4, 5, 10)


@pytest.mark.parametrize(("label", "image_type", "exptime", "kind"), CALIBRATIONS)
def test_calibrations_of_the_present_camera_are_shorter(label, image_type, exptime, kind):
    shorter = {Kind.DOME: 40.0, Kind.XE: 20.0}.get(kind, exptime)
    assert read("Andor", calibration("Andor", label, image_type, shorter)).kind is kind
    if kind in (Kind.DOME, Kind.XE):
        assert read("new robot", calibration("new robot", label, image_type, shorter)).kind is Kind.IGNORED


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"OBJECT": "FOCUS: Focus", "NAME": "FOCUS: Focus", "IMGTYPE": "Focus"}, "focus"),
        ({"OBJECT": "HZ44_IFU_MAPPING [NA]", "NAME": "HZ44_IFU_MAPPING", "IMGTYPE": "Acq_ifumap"}, "map"),
        ({"OBJECT": "ACQ-ZTF18abcdefg r", "IMGTYPE": "Acquisition"}, "acquisition"),
        ({"OBJECT": "Guider: ZTF18abcdefg", "IMGTYPE": "Guider"}, "guider"),
        ({"OBJECT": "ZTF18abcdefg [A]test"}, "test"),
        ({"DOMEST": "closed"}, "dome was closed"),
    ],
)
def test_what_is_no_target_and_no_calibration(epoch, changes, reason):
    got = read(epoch, science(epoch, **changes))
    assert got.kind is Kind.IGNORED and reason in got.reason


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_standard_star(epoch):
    place = {"RA": "10:39:30.0", "DEC": "+43:04:00", "OBJRA": "10:39:36.7", "OBJDEC": "+43:06:09"}
    header = science(
        epoch, OBJECT="STD-Feige34", NAME="STD-Feige34", IMGTYPE="Standard", OBJNAME='"std-feige34"', **place
    )
    got = read(epoch, header)
    assert got.kind is Kind.STANDARD and got.star


@pytest.mark.parametrize("epoch", EPOCHS)
def test_cards_that_the_telescope_did_not_answer(epoch):
    header = without_none(science(epoch) | without_answer(epoch))
    got = read(epoch, header)
    assert got.kind is Kind.SCIENCE
    assert abs(got.start - STARTS[epoch]) < timedelta(seconds=1)
    # the elevation tells in the older headers; position and time in the newer, whose elevation is lost too
    assert got.airmass == pytest.approx(AIRMASSES[0], abs=0.02)
    (note,) = [note for note in got.notes if "AIRMASS" in note]
    assert ("TEL_EL" in note) == (header.get("TEL_EL") != -999.0)
    found = conditions_of(header, path_of(epoch).stem)
    assert (found.airmass, found.parallactic_deg) == (
        pytest.approx(AIRMASSES[1], abs=0.03),
        pytest.approx(ANGLES_DEG[1], abs=1.0),
    )


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_dome_frame_whose_lamp_cards_are_lost_is_one(epoch):
    header = without_none(calibration(epoch, "Calib: dome lamp 3 of 5", "dome", 180.0) | without_answer(epoch))
    assert read(epoch, header).kind is Kind.DOME


# Cards on which control software and hands have been seen to go wrong

CASE = datetime(2019, 4, 18, 3, 50, 2, tzinfo=UTC)
PATH = Path("ifu20190418_03_50_02.fits")
WHOLE = {
    "EXPTIME": 900.0,
    "ADCSPEED": 0.1,
    "JD": 2458591.6597454,
    "MJD_OBS": 58591.1597454,
    "UTC": "2019:108:03:50:02.0",
    "OBSDATE": "2019-04-18",
    "OBSTIME": "03:50:02.0",
    "AIRMASS": 1.15,
    "DOMEST": "OPEN    ",
    "OBJECT": "ZTF19wxyzabc [A]",
    "NAME": "ZTF19wxyzabc",
    "ABPAIR": False,
}


@pytest.mark.parametrize("utc", ["2019:366:03:50:02.0", "2019:108:03:45:00.0"])
def test_one_clock_against_four(utc):
    got = frame_from_header(WHOLE | {"UTC": utc}, PATH)
    assert abs(got.start - CASE) < timedelta(seconds=0.1)
    assert night_of(got.start) == "20190418"
    assert any("UTC" in note for note in got.notes)


def test_numbers_in_quotes_are_the_same_everywhere():
    quoted = WHOLE | {"EXPTIME": "900.0   ", "ADCSPEED": "0.1     ", "AIRMASS": "1.15    "}
    got, plain = frame_from_header(quoted, PATH), frame_from_header(WHOLE, PATH)
    assert (got.exptime_s, got.adc_speed_mhz, got.airmass) == (plain.exptime_s, plain.adc_speed_mhz, plain.airmass)
    assert len(got.notes) == 1
    assert conditions_of(quoted).airmass == conditions_of(WHOLE).airmass == 1.15


@pytest.mark.parametrize("exptime", [0.001, -1.0])
def test_the_shortest_bias(exptime):
    label = "Calib: bias 1 of 5"
    got = frame_from_header(WHOLE | {"OBJECT": label, "NAME": label, "IMGTYPE": "bias    ", "EXPTIME": exptime}, PATH)
    assert got.kind is Kind.BIAS and got.notes


# Any value on any card

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["NA", "UNKNOWN", "NaN", "-999", '"OFF"', "F", "T", "closed", "Calib: bias 1 of 5", "STD-HZ44", "1.060"]
    ),
)
HEADERS = st.fixed_dictionaries({}, optional=dict.fromkeys(science("Andor"), VALUES))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(EPOCHS), HEADERS)
def test_whatever_the_cards_hold_only_a_header_fault_is_raised(epoch, changes):
    header = science(epoch) | changes
    try:
        got = frame_from_header(header, path_of(epoch))
    except HeaderFault as fault:
        assert "expected" in str(fault)
        return
    assert got.start.tzinfo is not None
    assert got.kind is Kind.IGNORED or (got.exptime_s is not None and got.adc_speed_mhz is not None)
    assert got.airmass is None or 1.0 <= got.airmass <= 10.0
    assert conditions_of(header, path_of(epoch).stem).airmass is None or got.kind is not None


# Published headers, where they are

BESIDE = Path(__file__).parents[3] / "shared" / "real" / "headers"
PUBLISHED = Path(os.environ.get("SEDMD_REAL_HEADERS") or BESIDE)


def published():
    return sorted(PUBLISHED.glob("ifu*.json"))


@pytest.mark.parametrize("path", published() or [None], ids=lambda path: path.stem if path else "none")
def test_published_headers(path):
    if path is None:
        pytest.skip(f"no published headers in {PUBLISHED}; SEDMD_REAL_HEADERS says where they are")
    header = dict(json.loads(path.read_text(encoding="utf-8")))
    got = frame_from_header(header, path.with_suffix(".fits"))
    named = datetime.strptime(path.stem, "ifu%Y%m%d_%H_%M_%S").replace(tzinfo=UTC)
    assert (got.kind, got.nod, got.pair, got.notes) == (Kind.SCIENCE, "A", False, ())
    assert got.name == header["NAME"].strip() and got.name in got.object
    assert -timedelta(seconds=1) < got.start - named < timedelta(seconds=10)
    assert (got.exptime_s, got.adc_speed_mhz, got.airmass) == (header["EXPTIME"], 0.1, header["AIRMASS"])
    # RA and DEC are the target plus the offset cards
    east = (got.ra_deg - got.target_ra_deg) * 3600 * math.cos(math.radians(got.dec_deg))
    north = (got.dec_deg - got.target_dec_deg) * 3600
    assert (east, north) == pytest.approx((header["RA_OFF"], header["DEC_OFF"]), abs=0.5)
    # the airmass that position and time give is that of the card
    lost = without_none({card: None if card in ("AIRMASS", "TEL_EL") else value for card, value in header.items()})
    assert frame_from_header(lost, path.with_suffix(".fits")).airmass == pytest.approx(got.airmass, abs=0.02)
    found = conditions_of(header, path.stem)
    assert found.airmass == pytest.approx(got.airmass, rel=0.12)
    assert found.pressure_mbar == pytest.approx(825.0, abs=6.0)
