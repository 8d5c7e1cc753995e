"""What a raw frame is, from its cards: every label of the observatory and every way in which a header can be wrong."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from night.raw_night import SHAPE, cards, frame_bytes, raw

from sedmd.core.errors import FrameFault, HeaderFault, HeaderUnfinished
from sedmd.raw.frames import Kind, Limits, frame_from_header, is_unfinished, read_frame

START = datetime(2019, 6, 12, 4, 28, 2, tzinfo=UTC)
PATH = Path("ifu20190612_04_28_02.fits")


def frame(label: str = "ZTF19abc", **changes: object):
    return frame_from_header(cards(START, label, **changes), PATH)


@pytest.mark.parametrize(
    "label, changes, kind",
    [
        ("Calib:  bias 1 of 10", {"EXPTIME": 0.0}, Kind.BIAS),
        ("Calib:  dome 2 of 5", {"EXPTIME": 120.0, "LAMPCUR": 1.0}, Kind.DOME),
        ("Calib:  Hal 2 of 5", {"EXPTIME": 120.0, "LAMPCUR": 1.0}, Kind.DOME),
        ("Calib:  dome 2 of 5", {"EXPTIME": 60.0, "LAMPCUR": 1.0}, Kind.DOME),
        ("Calib:  dome 2 of 5", {"EXPTIME": 120.0, "LAMPCUR": None}, Kind.DOME),
        ("Calib:  Hg 1 of 5", {"EXPTIME": 30.0}, Kind.HG),
        ("Calib:  Cd 1 of 5", {"EXPTIME": 30.0}, Kind.CD),
        ("Calib:  Xe 5 of 5", {"EXPTIME": 30.0}, Kind.XE),
        ("Calib:  Ne 5 of 5", {"EXPTIME": 30.0}, Kind.NE),
        ("Calib: twilight", {"EXPTIME": 30.0}, Kind.TWILIGHT),
        ("STD-Feige34", {}, Kind.STANDARD),
        ("ZTF19abc [A]", {}, Kind.SCIENCE),
        ("   ZTF19abc", {}, Kind.SCIENCE),
        ("ZTF19aatestx", {}, Kind.SCIENCE),
        ("Tobias 7", {}, Kind.SCIENCE),
        ("Darkwing", {}, Kind.SCIENCE),
        ("bias study field", {"EXPTIME": 300.0}, Kind.SCIENCE),
        ("target", {"DOMEST": None}, Kind.SCIENCE),
        ("target", {"DOMEST": "NA"}, Kind.SCIENCE),
        ("target", {"IMGTYPE": "NA"}, Kind.SCIENCE),
        ("Feige34", {"IMGTYPE": "Standard"}, Kind.STANDARD),
        ("Calib: dome lamp 3 of 5", {"EXPTIME": 180.0, "LAMPCUR": -999.0, "IMGTYPE": "dome"}, Kind.DOME),
        ("Calib: dome lamp 3 of 5", {"EXPTIME": 180.0, "LAMPCUR": 0.0}, Kind.DOME),
        ("Calib: Xe 1 of 4", {"EXPTIME": 60.0, "XE_LAMP": "off", "HG_LAMP": "on"}, Kind.XE),
        ("Calib: Hg 1 of 5", {"EXPTIME": 30.0, "IMGTYPE": "bias"}, Kind.HG),
        ("Calib: bias 1 of 5", {"EXPTIME": 0.001}, Kind.BIAS),
        ("Calib: bias 1 of 5", {"EXPTIME": -1.0}, Kind.BIAS),
        ("Calib: bias 1 of 5", {"EXPTIME": None}, Kind.BIAS),
        ("Twilight 1 [NA]", {"EXPTIME": 10.0, "IMGTYPE": "twilight"}, Kind.TWILIGHT),
    ],
)
def test_kind(label, changes, kind):
    assert frame(label, **changes).kind is kind


@pytest.mark.parametrize(
    "label, changes, reason",
    [
        ("", {"NAME": "x"}, "blank"),
        ("Focus: 16.32", {}, "focus"),
        ("test", {}, "test"),
        ("flexure Test 2", {}, "test"),
        ("Calib: TEST dome 1 of 5", {}, "test"),
        ("dark 3 of 5", {}, "dark"),
        ("something", {"NAME": "STOW"}, "stowed"),
        ("STOW", {}, "stowed"),
        ("ZTF19abc", {"DOMEST": "CLOSED"}, "dome was closed"),
        ("ZTF19abc", {"DOMEST": "closed"}, "dome was closed"),
        ("ZTF19abc", {"EXPTIME": 0.0}, "no light"),
        ("bias", {"EXPTIME": 0.0}, "lacks 'Calib'"),
        ("bias 3", {"EXPTIME": 10.0, "IMGTYPE": "BIAS"}, "lacks 'Calib'"),
        ("Calib:  bias 1 of 10", {"EXPTIME": 30.0}, "labelled bias but exposed 30 s"),
        ("Calib:  dome", {"EXPTIME": 120.0, "LAMPCUR": 1.0}, "one-off"),
        ("Calib:  dome 1 of 5", {"EXPTIME": 30.0, "LAMPCUR": 1.0}, "only 30 s"),
        ("Calib:  Hg 1 of 5", {"EXPTIME": 20.0}, "only 20 s"),
        ("Calib:  Hg 6 of 5", {"EXPTIME": 30.0}, "impossible series"),
        ("Calib:  dome Xe 1 of 5", {"EXPTIME": 120.0}, "not one calibration"),
        ("Calib:  laser 1 of 5", {"EXPTIME": 120.0}, "no known calibration"),
        ("FOCUS: Focus", {}, "focus"),
        ("ZTF19abc [A]test", {"NAME": "ZTF19abc"}, "test"),
        ("HZ44_IFU_MAPPING [NA]", {"IMGTYPE": "Acq_ifumap"}, "map of the field"),
        ("HZ44_IFU_MAPPING [NA]", {"IMGTYPE": "Science"}, "map of the field"),
        ("HZ44 [NA]", {"IMGTYPE": "Acq_ifumap"}, "map of the field"),
        ("ACQ-ZTF19abc r", {"IMGTYPE": "NA"}, "acquisition"),
        ("ZTF19abc r", {"IMGTYPE": "Acquisition"}, "acquisition"),
        ("Guider: ZTF19abc", {}, "guider"),
        ("ZTF19abc", {"IMGTYPE": "Guider"}, "guider"),
        ("SEDmDefault", {}, "no target"),
        ("ZTF19abc", {"IMGTYPE": "Focus"}, "focus"),
    ],
)
def test_ignored_with_its_reason(label, changes, reason):
    got = frame(label, **changes)
    assert got.kind is Kind.IGNORED
    assert reason in got.reason


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"OBJECT": None, "NAME": None}, "OBJECT is missing"),
        ({"OBJECT": "NA", "NAME": None}, "OBJECT is missing"),
        ({"OBJECT": -999.0, "NAME": None}, "OBJECT is missing"),
        ({"OBJECT": True}, "OBJECT is True, which is not text"),
        ({"OBJECT": 12}, "OBJECT is 12, which is not text"),
        ({"EXPTIME": None}, "EXPTIME is missing"),
        ({"EXPTIME": "900 s"}, "EXPTIME is '900 s', which is not a number"),
        ({"EXPTIME": -999.0}, "EXPTIME is -999.0, which means unknown"),
        ({"EXPTIME": True}, "not a number"),
        ({"EXPTIME": float("nan")}, "EXPTIME is nan"),
        ({"EXPTIME": float("inf")}, "EXPTIME is inf"),
        ({"EXPTIME": -1.0}, "EXPTIME is -1, below 0"),
        ({"ADCSPEED": None}, "ADCSPEED is missing"),
        ({"ADCSPEED": "slow"}, "ADCSPEED is 'slow'"),
        ({"ADCSPEED": 0.0}, "ADCSPEED is 0, below"),
        ({"OBJECT": "[A]", "NAME": None}, "neither NAME nor OBJECT names a target"),
    ],
)
def test_header_fault_says_what_was_expected_and_what_to_do(changes, message):
    with pytest.raises(HeaderFault) as fault:
        frame(**changes)
    assert message in str(fault.value)
    assert "sedmd mend FRAME CARD=VALUE" in str(fault.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"REQ_ID": "none"},
        {"LAMPCUR": None, "AIRMASS": None, "GAIN": None},
        {"LAMPCUR": "n/a"},
        {"NAME": None},
        {"NAME": 7},
        {"UTC": None},
        {"UTC": None, "JD": None},
        {"UTC": "2019:999:99:99:99"},
        {"JD": -1.0},
    ],
)
def test_optional_cards_may_be_missing_or_odd(changes):
    got = frame(**changes)
    assert got.kind is Kind.SCIENCE
    assert abs((got.start - START).total_seconds()) < 0.01


@pytest.mark.parametrize("airmass", ["high", float("nan"), 0.3, True, 99.0, -1, -999.0])
def test_impossible_airmass_is_unknown_and_noted(airmass):
    got = frame(AIRMASS=airmass)
    assert got.airmass is None
    assert any("AIRMASS" in note for note in got.notes)


@pytest.mark.parametrize(
    "clock",
    [
        {"UTC": "2019:163:04:28:02.0"},
        {"UTC": None, "OBSDATE": "2019-06-12", "OBSTIME": "04:28:02.0", "JD": None},
        {"UTC": None, "JD": 2458646.6861343},
        {"UTC": None, "JD": None, "MJD_OBS": 58646.1861343},
        {"UTC": None, "JD": None},
    ],
)
def test_start_time_from_whatever_card_there_is(clock):
    assert abs((frame(**clock).start - START).total_seconds()) < 0.01


def test_no_time_anywhere_is_a_fault():
    with pytest.raises(HeaderFault, match="no start time"):
        frame_from_header(cards(START, "x", UTC=None, JD=None), Path("frame.fits"))


def test_a_name_that_contradicts_the_clock_is_noted():
    got = frame_from_header(cards(START, "x"), Path("ifu20190614_04_28_02.fits"))
    assert got.start == START
    assert any("the file name rejected" in note for note in got.notes)


@pytest.mark.parametrize(
    "label, name, nod",
    [
        ("ZTF19abc [A]", "ZTF19abc", "A"),
        ("ZTF19abc [B]", "ZTF19abc", "B"),
        ("M 31 [ A ] x", "M 31 x", "A"),
        ("a", "a", ""),
        ("HZ44 [NA]", "HZ44", ""),
    ],
)
def test_nod_token_is_not_part_of_the_name(label, name, nod):
    got = frame(label, NAME=None)
    assert (got.name, got.nod) == (name, nod)


def test_series_numbers():
    got = frame("Calib:  Hg 2 of 5", EXPTIME=30.0)
    assert (got.series_index, got.series_total) == (2, 5)


def test_limits_are_settings():
    header = cards(START, "Calib:  Hg 1 of 5", EXPTIME=15.0)
    assert frame_from_header(header, PATH).kind is Kind.IGNORED
    assert frame_from_header(header, PATH, limits=Limits(lamp_min_exptime_s=15.0)).kind is Kind.HG


def test_limits_are_those_of_the_camera():
    def kind(label, exptime, year, columns):
        start = datetime(year, 6, 12, 4, 28, 2, tzinfo=UTC)
        header = cards(start, label, EXPTIME=exptime, NAXIS1=columns, NAXIS2=2048)
        return frame_from_header(header, Path(start.strftime("ifu%Y%m%d_%H_%M_%S.fits"))).kind

    assert kind("Calib: dome lamp 1 of 5", 40.0, 2023, 2088) is Kind.DOME
    assert kind("Calib: Xe 1 of 5", 20.0, 2023, 2088) is Kind.XE
    assert kind("Calib: dome lamp 1 of 5", 40.0, 2021, 2048) is Kind.IGNORED
    assert kind("Calib: Xe 1 of 5", 20.0, 2021, 2048) is Kind.IGNORED


def test_the_only_speed_of_a_camera_need_not_be_told():
    start = datetime(2023, 6, 12, 4, 28, 2, tzinfo=UTC)
    header = cards(start, "x", ADCSPEED=None, NAXIS1=2088, NAXIS2=2048)
    got = frame_from_header(header, Path("ifu20230612_04_28_02.fits"))
    assert got.adc_speed_mhz == 1.0 and any("ADCSPEED is not known" in note for note in got.notes)


def test_numbers_as_text_are_read_with_one_note():
    got = frame(EXPTIME="900.0   ", ADCSPEED="0.1     ", AIRMASS="1.15    ")
    assert (got.exptime_s, got.adc_speed_mhz, got.airmass) == (900.0, 0.1, 1.15)
    assert got.notes == ("EXPTIME, ADCSPEED, AIRMASS in the header as text, read as numbers",)


def test_a_speed_in_single_precision_is_the_same_speed():
    assert frame(ADCSPEED=0.10000000149).adc_speed_mhz == frame(ADCSPEED=0.1).adc_speed_mhz


@pytest.mark.parametrize("exptime, told", [(0.001, "a bias of 0.001 s"), (-1.0, "EXPTIME is -1"), ("NA", "not known")])
def test_a_bias_of_no_time_is_one_with_a_note(exptime, told):
    got = frame("Calib: bias 1 of 5", EXPTIME=exptime)
    assert got.kind is Kind.BIAS
    assert any(told in note for note in got.notes)
    assert 0 <= got.exptime_s < 0.01


def test_where_cards_contradict_each_other_it_is_noted():
    assert any("IMGTYPE says 'bias'" in note for note in frame("Calib: Hg 1 of 5", EXPTIME=30.0, IMGTYPE="bias").notes)
    assert any("IMGTYPE says 'lamp'" in note for note in frame("ZTF19abc", IMGTYPE="lamp").notes)
    assert any("LAMPCUR" in note for note in frame("Calib: dome 1 of 5", EXPTIME=180.0, LAMPCUR=0.0).notes)
    assert not frame("Calib: dome 1 of 5", EXPTIME=180.0, LAMPCUR=-999.0, IMGTYPE="dome").notes


def test_a_dome_that_closed_during_the_exposure_is_noted():
    assert frame(DOMEST="open", ENDDOME="closed").notes == ("the dome closed during the exposure (ENDDOME)",)
    assert frame(DOMEST="open", ENDDOME="NA").notes == ()


def test_object_lost_alone_is_replaced_by_name():
    got = frame(OBJECT="NA", NAME="ZTF19abc")
    assert (got.kind, got.object, got.name) == (Kind.SCIENCE, "ZTF19abc", "ZTF19abc")
    assert got.notes == ("OBJECT is missing: NAME is used",)
    assert frame(OBJECT=None, NAME="Calib: Hg 1 of 5", EXPTIME=30.0).kind is Kind.HG


CAMERA_ONLY = {"EXPTIME": 900.0, "ADCSPEED": 0.1, "TEMP": -50.0, "SER_NO": "05313416", "CRPIX1": 1075.0}


LOST = "the telescope's cards are missing: OBJECT, NAME, RA, DEC, AIRMASS, DOMEST"
UNKNOWN = {"RA": "NA", "DEC": "NA", "TEL_RA": "NA", "TEL_DEC": "NA", "TEL_EL": -999.0, "AIRMASS": -999.0, "LST": "NA"}
UNKNOWN |= {"DOMEST": "NA", "OBJRA": "NA", "OBJDEC": "NA"}


@pytest.mark.parametrize("gone", [UNKNOWN, dict.fromkeys(UNKNOWN)], ids=["unknown", "absent"])
def test_a_lost_block_of_the_telescopes_cards_is_the_reason_and_not_what_follows_from_it(gone):
    with pytest.raises(HeaderFault, match=f"{LOST}; expected OBJECT"):
        frame(**gone, OBJECT="NA", NAME="NA", IMGTYPE=None)
    got = frame("ZTF19abc", NAME="ZTF19abc", **gone)
    assert (got.kind, got.name) == (Kind.SCIENCE, "ZTF19abc")
    assert got.lost == "the telescope's cards are missing: RA, DEC, AIRMASS, DOMEST"
    assert [note for note in got.notes if "missing" in note] == [got.lost], "not that AIRMASS is missing, too"
    with pytest.raises(HeaderFault, match="cards are missing: RA, DEC, AIRMASS, DOMEST; neither NAME nor OBJECT"):
        frame("[A]", NAME=None, **gone)
    # one of them is enough to say that the telescope answered
    for card, value in (("DOMEST", "open"), ("AIRMASS", 1.3), ("OBJRA", "04:00:00.0"), ("LST", "04:00:00")):
        assert frame("ZTF19abc", NAME="ZTF19abc", **(gone | {card: value})).lost == ""


def test_a_header_of_the_camera_alone_is_unfinished():
    with pytest.raises(HeaderUnfinished, match=f"{LOST}. Only the camera's cards"):
        frame_from_header(CAMERA_ONLY, PATH)
    assert is_unfinished(CAMERA_ONLY | {"TELESCOP": "60", "CAM_NAME": "IFU Cam", "UTC": "2021-12-12T06:14:11.94"})
    assert not is_unfinished(CAMERA_ONLY | {"DOMEST": "NA"})
    with pytest.raises(HeaderFault, match=LOST) as fault:
        frame_from_header(CAMERA_ONLY | {"DOMEST": "NA"}, PATH)
    assert not isinstance(fault.value, HeaderUnfinished)


def test_a_frame_of_kitt_peak_is_told_from_one_of_palomar():
    with pytest.raises(HeaderFault, match="Kitt Peak"):
        frame_from_header({"MODE_NUM": 1, "EXPTIME": 10.0, "IMGTYPE": "bias"}, PATH)


def test_a_standard_star_by_imgtype_alone_calibrates_nothing():
    got = frame("MyStar", NAME="MyStar", IMGTYPE="Standard")
    assert (got.kind, got.star) == (Kind.STANDARD, "")
    assert frame("MyStar", NAME="MyStar", IMGTYPE="Science").kind is Kind.SCIENCE


# whole files


def test_read_frame_checks_and_sums(tmp_path):
    first = read_frame(raw(START, "ZTF19abc", seed=1).write(tmp_path), shape=SHAPE)
    again = read_frame(raw(START, "ZTF19abc", seed=1, AIRMASS=1.3).write(tmp_path), shape=SHAPE)
    other = read_frame(raw(START, "ZTF19abc", seed=2).write(tmp_path), shape=SHAPE)
    assert first.data_checksum == again.data_checksum != other.data_checksum
    assert len({first.checksum, again.checksum, other.checksum}) == 3


def test_focus_label_is_not_read_as_a_record_valued_card(tmp_path):
    # astropy takes "Focus: 16.3" for a field and a number, and then knows no OBJECT
    got = read_frame(raw(START, "Focus: 16.3").write(tmp_path), shape=SHAPE)
    assert (got.kind, got.object) == (Kind.IGNORED, "Focus: 16.3")


def stored(value: int, header: dict[str, object] | None = None) -> bytes:
    """A frame all of whose pixels hold the physical `value`."""
    whole = frame_bytes(header or cards(START, "ZTF19abc"), seed=1)
    pixels = SHAPE[0] * SHAPE[1]
    head = len(whole) - (-(-2 * pixels // 2880) * 2880)
    data = np.full(pixels, value - 32768, ">i2").tobytes()
    return whole[:head] + data + b"\0" * (len(whole) - head - len(data))


@pytest.mark.parametrize(
    "content, message",
    [
        (frame_bytes(cards(START, "x"), seed=1)[:-3000], "is cut"),
        (b"", "is cut: 0 bytes"),
        (b"hello, this is no frame", "SIMPLE"),
        (frame_bytes(cards(START, "x"), seed=1, shape=(32, 64)), "the array is 32 x 64; expected 64 x 64"),
        (stored(0), "every pixel is zero"),
        (stored(700), "every pixel is 700 ADU"),
        (stored(65535), "every pixel is 65535"),
    ],
)
def test_unusable_files_say_why(tmp_path, content, message):
    path = tmp_path / PATH
    path.write_bytes(content)
    with pytest.raises(FrameFault, match=message):
        read_frame(path, shape=SHAPE)


def test_saturated_all_over(tmp_path):
    path = tmp_path / PATH
    content = bytearray(stored(65535))
    at = content.index(b"END" + b" " * 77) // 2880 * 2880 + 2880
    content[at : at + 2] = b"\0\0"
    path.write_bytes(content)
    with pytest.raises(FrameFault, match="saturated all over"):
        read_frame(path, shape=SHAPE)


def test_float_frames_are_not_raw_frames(tmp_path):
    content = frame_bytes(cards(START, "x"), seed=1).replace(
        b"BITPIX  =                   16", b"BITPIX  =                  -32"
    )
    path = tmp_path / PATH
    path.write_bytes(content + b"\1" * (2880 * 3))
    with pytest.raises(FrameFault, match="BITPIX is -32"):
        read_frame(path, shape=SHAPE)


def test_unparsable_card_costs_only_itself(tmp_path):
    content = frame_bytes(cards(START, "ZTF19abc"), seed=1)
    at = content.index(b"AIRMASS =")
    path = tmp_path / PATH
    path.write_bytes(content[:at] + b"AIRMASS = NaN".ljust(80) + content[at + 80 :])
    got = read_frame(path, shape=SHAPE)
    assert got.airmass is None
    at = content.index(b"EXPTIME =")
    path.write_bytes(content[:at] + b"EXPTIME = NaN".ljust(80) + content[at + 80 :])
    with pytest.raises(HeaderFault, match="EXPTIME is 'NaN'"):
        read_frame(path, shape=SHAPE)


@pytest.mark.parametrize(
    "card, pair",
    [(True, True), ("T", True), ("True", True), (False, False), ("F", False), ("", False), ("NA", False), (0, False)],
)
def test_abpair_tells_half_a_pair_from_a_single_exposure(card, pair):
    assert frame("ZTF19abc [A]", ABPAIR=card).pair is pair


def test_without_abpair_nothing_is_said_of_pairs():
    assert frame("ZTF19abc [A]", ABPAIR=None).pair is None


def test_telescope_and_target_have_each_their_own_place():
    got = frame(RA="00:58:50.29", DEC="-00:15:08.1", OBJRA="00:59:04.1776", OBJDEC="-00:12:12.0154")
    assert (got.ra_deg, got.dec_deg) == (pytest.approx(14.70954, abs=1e-5), pytest.approx(-0.252250, abs=1e-6))
    assert (got.target_ra_deg, got.target_dec_deg) == (pytest.approx(14.767407), pytest.approx(-0.2033376))


@pytest.mark.parametrize("lost", [{"RA": "NA"}, {"DEC": None}, {"RA": -999.0}, {"DEC": "+95:00:00"}])
def test_where_one_card_of_a_place_is_lost_the_telescopes_own_pair_serves(lost):
    there = {"RA": "12:00:00", "DEC": "+10:00:00", "TEL_RA": "13:00:00", "TEL_DEC": "+11:00:00"}
    got = frame(**(there | lost))
    assert (got.ra_deg, got.dec_deg) == (pytest.approx(195.0), pytest.approx(11.0))
    assert (got.target_ra_deg, got.target_dec_deg) == (None, None)


@pytest.mark.parametrize("shape, fits", [((2048, 2048), True), ((2048, 2088), True), ((2048, 2068), False)])
def test_the_array_is_that_of_a_camera(tmp_path, shape, fits):
    path = tmp_path / PATH
    path.write_bytes(frame_bytes(cards(START, "x"), seed=1, shape=shape))
    if fits:
        assert read_frame(path).kind is Kind.SCIENCE
    else:
        with pytest.raises(FrameFault, match="2048 x 2068; expected 2048 x 2048 or 2048 x 2088"):
            read_frame(path)
