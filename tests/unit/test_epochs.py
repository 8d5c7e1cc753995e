"""Cameras of the epochs: which one wrote a frame, where its image lies, what an ADU is worth."""

from datetime import UTC, date, datetime, timedelta

import pytest

from sedmd.core.instrument import CCD_SHAPE
from sedmd.raw.epochs import CAMERAS, CHANGES, camera_of, changed_by, gain_of, is_kitt_peak, sections_of

SQUARE, WIDE = (2048, 2048), (2048, 2088)
ANDOR = next(camera for camera in CAMERAS if camera.serial == "26265")
PIXIS = next(camera for camera in CAMERAS if camera.serial == "05313416")
WIDE_CARDS = {"PSCANX0": 1, "PSCANX1": 20, "OSCANX0": 2069, "OSCANX1": 2088}


def day(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "serial"),
    [
        ("2013-08-08", "2803120001"),
        ("2016-03-10", "08098513"),
        ("2016-05-01", "2803120001"),
        ("2018-05-08", "05313416"),
        ("2019-05-01", "2803120001"),
        ("2019-05-14", "05313416"),
        ("2023-04-06", "05313416"),
        ("2012-01-01", "2803120001"),  # before everything: the first
    ],
)
def test_date_tells_square_cameras_apart_when_the_serial_number_does_not(start, serial):
    assert camera_of({}, SQUARE, day(start)).serial == serial
    assert camera_of({"SER_NO": "08646C7F-"}, SQUARE, day(start)).serial == serial


def test_serial_number_comes_before_the_date_and_size_before_both():
    assert camera_of({"SER_NO": "05313416"}, SQUARE, day("2013-08-08")).serial == "05313416"
    # a card that was read as a number has lost its zero
    assert camera_of({"SER_NO": 5313416}, SQUARE, day("2013-08-08")).serial == "05313416"
    assert camera_of({"SER_NO": "05313416"}, WIDE, day("2021-08-08")) is ANDOR
    assert camera_of({"SER_NO": 26265}, SQUARE, day("2021-08-08")) is PIXIS
    assert camera_of({}, WIDE) is ANDOR


def test_other_sizes_belong_to_no_camera_unless_the_cards_leave_the_whole_image():
    assert camera_of({}, (1024, 1024), day("2021-08-08")) is None
    assert camera_of(WIDE_CARDS, (2088, 2048), day("2024-08-08")) is None
    cards = {"PSCANX0": "1", "PSCANX1": "26", "OSCANX0": "2075", "OSCANX1": "2100"}
    assert camera_of({}, (2048, 2100), day("2024-08-08")) is None
    assert camera_of(cards, (2048, 2100), day("2024-08-08")) is ANDOR
    sections, note = sections_of(cards, (2048, 2100), ANDOR)
    assert (sections.image, sections.scans, note) == ((26, 2074), ((0, 26), (2074, 2100)), "")


def test_no_two_cameras_are_in_the_spectrograph_on_one_day():
    for n in range(5000):
        then = date(2013, 3, 12) + timedelta(days=n)
        assert sum(camera.served(then) for camera in CAMERAS) <= 1


@pytest.mark.parametrize("kind", [int, float, str])
def test_sections_come_from_the_cards(kind):
    sections, note = sections_of({key: kind(value) for key, value in WIDE_CARDS.items()}, WIDE, ANDOR)
    assert note == ""
    assert (sections.image, sections.scans) == ((20, 2068), ((0, 20), (2068, 2088)))
    assert sections.no_data() == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"PSCANX1": 0},
        {"PSCANX1": 25},
        {"OSCANX1": 2100},
        {"OSCANX0": "NA"},
        {"OSCANX0": float("nan")},
        {"OSCANX0": 2069.5},
        {"PSCANX0": -999, "PSCANX1": -999, "OSCANX0": -999, "OSCANX1": -999},
        {"PSCANX0": True},
    ],
)
def test_cards_that_do_not_leave_the_image_are_not_believed_and_named(wrong):
    sections, note = sections_of(WIDE_CARDS | wrong, WIDE, ANDOR)
    assert sections == ANDOR.sections
    assert next(iter(wrong)) in note and "image columns 21 to 2068 taken" in note


def test_without_cards_the_sections_are_the_cameras():
    assert sections_of({}, WIDE, ANDOR) == (ANDOR.sections, "")
    sections, note = sections_of({}, SQUARE, PIXIS)
    assert (sections.image, note) == ((0, 2048), "")
    assert sections.no_data() == ((2045, 2048),)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.name)
def test_every_camera_leaves_the_same_image(camera):
    first, stop = camera.sections.image
    assert (camera.shape[0], stop - first) == CCD_SHAPE
    assert all(0 <= a < b <= camera.shape[1] for a, b in camera.sections.scans)


@pytest.mark.parametrize("camera", [PIXIS, ANDOR], ids=["PIXIS", "Andor"])
@pytest.mark.parametrize("value", [1.78, "1.78", 1.8, 0.9, 2])
def test_gain_of_the_card_is_believed(camera, value):
    assert gain_of({"GAIN": value}, camera) == (float(value), "")


@pytest.mark.parametrize("camera", [PIXIS, ANDOR], ids=["PIXIS", "Andor"])
@pytest.mark.parametrize("value", [None, "NA", "", 1.0, 1, "1.0", True, 0.0, -999.0, float("nan"), float("inf"), 50])
def test_gain_that_cannot_be_is_the_cameras_and_said(camera, value):
    gain, note = gain_of({} if value is None else {"GAIN": value}, camera)
    assert gain == camera.gain
    assert "GAIN" in note and f"{camera.gain:g} electron/ADU of the {camera.name} taken" in note


def test_frames_of_the_kitt_peak_copy_are_known_by_their_read_out_card():
    assert is_kitt_peak({"MODE_NUM": 0, "IMGTYPE": "bias"})
    assert not is_kitt_peak({"ADCSPEED": 0.1})
    assert not is_kitt_peak({})


@pytest.mark.parametrize(
    ("night", "changed"),
    [("20130808", ""), ("20160228", ""), ("20160229", "20160229"), ("20230406", "20190520"), ("20240101", "20230411")],
)
def test_instrument_of_a_night_is_as_it_was_since_the_last_change(night, changed):
    assert changed_by(night) == changed


def test_every_change_of_camera_is_a_change_of_the_instrument():
    for camera in CAMERAS:
        for first, _ in camera.service:
            assert first in CHANGES or first == date(2013, 3, 12)
