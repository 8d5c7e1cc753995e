"""Corrections of header cards: how they are given, what they hold for, and that they are laid over a header."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from astropy.io import fits
from night.raw_night import SHAPE, cards, frame_bytes, raw

from sedmd.core.errors import HeaderFault
from sedmd.core.job import Job
from sedmd.ledger.records import frame_from_json, frame_to_json
from sedmd.products.provenance import provenance
from sedmd.raw.clocks import start_of
from sedmd.raw.frames import Kind, read_frame
from sedmd.raw.mends import BadMend, Mend, cards_for, overlay, parse_card, scope_of
from sedmd.steps.raw import read_raw

START = datetime(2019, 6, 12, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "card", "value"),
    [
        ("EXPTIME=900", "EXPTIME", 900),
        ("exptime = 9.5e2", "EXPTIME", 950.0),
        ("GAIN=1.78D0", "GAIN", 1.78),
        ("ABPAIR=F", "ABPAIR", False),
        ("IMGSET='T'", "IMGSET", "T"),
        ("OBJECT=ZTF19aakjtgd [A]", "OBJECT", "ZTF19aakjtgd [A]"),
        ("OBJECT=12345", "OBJECT", "12345"),
        ("NAME='O''Neill = 7'", "NAME", "O'Neill = 7"),
        ("REQ_ID=20211206070648456", "REQ_ID", 20211206070648456),
        ("UTC=2019:163:04:00:00.0", "UTC", "2019:163:04:00:00.0"),
        ("UTC=2021-10-18T04:00:00.123456", "UTC", "2021-10-18T04:00:00.123456"),
        ("OBSDATE=2019-06-12", "OBSDATE", "2019-06-12"),
        ("OBSTIME=04:00:00.5", "OBSTIME", "04:00:00.5"),
        ("OBJRA=12:30:01.5", "OBJRA", "12:30:01.5"),
        ("BZERO=32768", "BZERO", 32768),
        ("AIRMASS=-", "AIRMASS", None),
        ("NAME='-'", "NAME", "-"),
    ],
)
def test_a_value_is_read_as_fits_has_it(text, card, value):
    found = parse_card(text)
    assert found == (card, value)
    assert type(found[1]) is type(value)
    mend = Mend(scope="ifu20190612_04_00_00", card=card, value=value)
    assert parse_card(mend.describe()) == found, "what is listed can be given again"
    assert Mend.from_text(mend.subject, mend.to_text()) == mend


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("EXPTIME", "expected CARD=VALUE"),
        ("EXPOSURETIME=9", "expected CARD=VALUE"),
        ("EXPTIME=", "has no value"),
        ("EXPTIME=long", "is not a number"),
        ("EXPTIME=T", "is not a number"),
        ("EXPTIME='900'", "is not a number"),
        ("EXPTIME=1e9", "is impossible"),
        ("AIRMASS=0.5", "is impossible"),
        ("AIRMASS=nan", "is not a number"),
        ("BZERO=1", "is impossible"),
        ("NAXIS1=2048", "describes the bytes"),
        ("CHECKSUM=-", "describes the bytes"),
        ("OBJRA=somewhere", "not a position on the sky"),
        ("UTC=yesterday", "not a time; expected one such as"),
        ("UTC=2019:366:04:00:00", "not a time"),
        ("OBSDATE=12.6.2019", "not a time"),
        ("OBSTIME=25:00:00", "not a time"),
        ("OBJECT=é", "FITS forbids"),
        ("XYZ=1e999", "too large"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(text, said):
    with pytest.raises(BadMend, match=said):
        parse_card(text)


@pytest.mark.parametrize("text", ["", "a..b..c", "b..a", "..a", "a.."])
def test_a_scope_that_makes_no_sense_is_refused(text):
    with pytest.raises(BadMend, match="expected FRAME, NIGHT or FIRST"):
        scope_of(text)


def test_the_last_correction_of_a_card_counts_whatever_it_was_given_for():
    def mend(scope, card, value, minute):
        return Mend(scope=scope, card=card, value=value, time=f"2019-06-12T08:{minute:02}:00")

    mends = [
        mend("20190612", "GAIN", 1.0, 3),
        mend("ifu20190612_04_00_00", "GAIN", 2.0, 1),
        mend("ifu20190612_03_00_00..ifu20190612_05_00_00", "EXPTIME", 5, 1),
        mend("ifu20190612_04_00_00", "EXPTIME", 6, 2),
    ]
    assert cards_for(mends, "ifu20190612_04_00_00") == {"EXPTIME": 6, "GAIN": 1.0}
    assert cards_for(mends, "ifu20190612_05_00_00") == {"EXPTIME": 5, "GAIN": 1.0}
    assert cards_for(mends, "ifu20190612_05_00_01") == {"GAIN": 1.0}


@pytest.mark.parametrize("text", ["UTC=2019:160:05:00:00.0", "JD=2458643.708333"])
def test_a_corrected_time_is_not_outvoted_by_the_other_clocks(tmp_path, text):
    wrong = {"OBSDATE": "2019-06-12", "OBSTIME": "04:00:01", "MJD_OBS": 58646.16668}
    path = raw(START, "x", **wrong).write(tmp_path)
    card, value = parse_card(text)
    cards = cards_for([Mend(scope=path.stem, card=card, value=value)], path.stem)
    right = START.replace(day=9, hour=5)
    assert abs(read_frame(path, shape=SHAPE, mends=cards).start - right) < timedelta(seconds=1)
    header = read_raw(path, {path.stem: cards})[1]
    assert abs(start_of(header, path.stem).time - right) < timedelta(seconds=1), "in the products too"
    assert cards_for([Mend(scope=path.stem, card=card, value=None)], path.stem) == {card: None}


def test_a_bad_card_corrected_makes_a_good_frame_and_the_file_stays_as_it_was(tmp_path):
    made = raw(START, "ZTF19aakjtgd [A]", EXPTIME="long", AIRMASS=99.0)
    path = made.write(tmp_path)
    with pytest.raises(HeaderFault, match="sedmd mend FRAME CARD=VALUE"):
        read_frame(path, shape=SHAPE)
    frame = read_frame(path, shape=SHAPE, mends={"AIRMASS": None, "EXPTIME": 900})
    assert (frame.kind, frame.exptime_s, frame.airmass) == (Kind.SCIENCE, 900.0, None)
    assert frame.mends == (("AIRMASS", None), ("EXPTIME", 900))
    assert "corrected by hand: EXPTIME = 900, was 'long'" in frame.notes
    assert frame_from_json(frame_to_json(frame)) == frame
    assert path.read_bytes() == made.content


def test_the_header_that_goes_into_products_is_the_corrected_one(tmp_path):
    path = raw(START, "x").write(tmp_path)
    as_it_is, plain = read_raw(path)
    pixels, header = read_raw(path, {path.stem: {"EXPTIME": 450.5, "AIRMASS": None}, "another": {"GAIN": 9.0}})
    assert header["EXPTIME"] == 450.5
    assert "AIRMASS" not in header
    assert (header["GAIN"], plain["EXPTIME"], plain["AIRMASS"]) == (1.8, 900.0, 1.2)
    assert (pixels == as_it_is).all()


def test_a_repeated_card_is_taken_out_everywhere():
    header = fits.Header([("AIRMASS", 1.0), ("AIRMASS", 2.0), ("GAIN", 1.8)])
    overlay(header, {"AIRMASS": None, "GAIN": 2.0})
    assert dict(header) == {"GAIN": 2.0}


def test_products_name_every_correction_that_went_into_them(tmp_path):
    made = tmp_path / "dome.fits"
    lamp = Job(
        step="lamp",
        night="20190612",
        label="dome",
        inputs={},
        outputs={},
        options={"mends": {"ifu20190611_23_00_00": {"GAIN": 1.8, "OBJECT": "Calib: dome lamp 1 of 5"}}},
    )
    told = provenance(lamp).header
    assert told["MEND1"] == "ifu20190611_23_00_00 GAIN=1.8"
    assert told["MEND2"] == "ifu20190611_23_00_00 OBJECT='Calib: dome lamp 1 of 5'"
    fits.PrimaryHDU(header=told).writeto(made)
    mends = {"ifu20190612_04_00_00": {"EXPTIME": None}}
    cube = Job(step="cube", night="20190612", label="x", inputs={"flat": (made,)}, outputs={}, options={"mends": mends})
    found = provenance(cube).header
    assert [found[f"MEND{n}"] for n in (1, 2, 3)] == [told["MEND1"], told["MEND2"], "ifu20190612_04_00_00 EXPTIME=-"]
    plain = dataclasses.replace(cube, inputs={}, options={})
    assert not [card for card in provenance(plain).header if card.startswith("MEND")]


def test_a_raw_frame_with_a_card_of_that_name_is_not_taken_for_a_product(tmp_path):
    path = tmp_path / "ifu20190612_04_00_00.fits"
    path.write_bytes(frame_bytes(cards(START, "x", MEND1="anything"), seed=1))
    job = Job(step="cube", night="20190612", label="x", inputs={"raw": (path,)}, outputs={})
    assert "MEND1" not in provenance(job).header


def test_cards_that_only_the_pipeline_writes_say_nothing_in_a_raw_frame(tmp_path):
    """Else a frame could call itself good, calibrated, and sure."""
    theirs = {"EXPTIME": 900.0, "AIRMASS": 1.2, "REQ_ID": 17, "ABPAIR": True, "OBJRA": "1", "MJD_OBS": 5.0}
    ours = dict.fromkeys(("QUALITY", "CONFID", "FLUXCAL", "STDSTAR", "REDUCER", "STEP", "NIGHT", "DOUBT1", "MEND1"), 1)
    path = tmp_path / "ifu20190612_04_00_00.fits"
    path.write_bytes(frame_bytes(theirs | ours, seed=1))
    header = read_raw(path)[1]
    assert set(theirs) <= set(header)
    assert not set(ours) & set(header)
