"""A frame stays the same whatever file it lies in; one whose header was completed does not."""

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy.io import fits
from night.raw_night import SHAPE, cards, frame_bytes, raw

from sedmd.raw.fitsfile import primary_extent
from sedmd.raw.frame_order import split_duplicates
from sedmd.raw.frames import read_frame
from sedmd.raw.identity import Checksums

START = datetime(2019, 6, 12, 4, tzinfo=UTC)
CARDS = cards(START, "x")


def reread(tmp_path: Path, content: bytes, suffix: str = ".fits"):
    path = tmp_path / f"ifu20190612_04_00_00{suffix}"
    path.write_bytes(content)
    return read_frame(path, shape=SHAPE)


def test_order_comments_packing_and_padding_do_not_make_another_frame(tmp_path):
    content = frame_bytes(CARDS, seed=1)
    first = reread(tmp_path, content)
    turned = frame_bytes(dict(reversed(CARDS.items())), seed=1)
    commented = frame_bytes({key: (value, "a comment") for key, value in CARDS.items()}, seed=1)
    bare = content[: primary_extent(content).header_bytes + primary_extent(content).data_bytes]
    assert len(bare) < len(content)
    for other in (turned, commented, bare):
        assert reread(tmp_path, other) == first
    packed = reread(tmp_path, gzip.compress(content), ".fits.gz")
    assert replace(packed, path=first.path) == first


@pytest.mark.parametrize("change", [{"AIRMASS": 1.3}, {"AIRMASS": None}, {"GAIN": 2.0}, {"REQ_ID": 5}])
def test_another_value_makes_another_frame_with_the_same_pixels(tmp_path, change):
    first = reread(tmp_path, frame_bytes(CARDS, seed=1))
    other = reread(tmp_path, frame_bytes(cards(START, "x", **change), seed=1))
    assert other.checksum != first.checksum
    assert other.data_checksum == first.data_checksum


def test_other_pixels_make_another_frame():
    assert Checksums.of(CARDS, b"one").whole != Checksums.of(CARDS, b"two").whole


def test_cards_of_the_file_are_not_counted():
    header = dict(fits.PrimaryHDU().header) | {"CHECKSUM": "abc", "ZNAXIS1": 4, "OBJECT": "x"}
    assert Checksums.of(header, b"").n_cards == 1
    assert Checksums.of(header, b"").whole == Checksums.of({"OBJECT": "x"}, b"").whole


def test_of_two_copies_the_one_with_the_fuller_header_is_used(tmp_path):
    short = reread(tmp_path, frame_bytes(cards(START, "x", AIRMASS=None, DOMEST=None), seed=1))
    full = reread(tmp_path, gzip.compress(frame_bytes(CARDS, seed=1)), ".fits.gz")
    other = read_frame(raw(START.replace(hour=3), "earlier").write(tmp_path), shape=SHAPE)
    for frames in ([short, full, other], [other, full, short]):
        kept, refused = split_duplicates(frames)
        assert kept == [other, full]
        assert [frame for frame, _ in refused] == [short]
