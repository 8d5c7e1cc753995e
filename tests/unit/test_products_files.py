"""Whole file or no file; damaged files are refused."""

import errno
import os
import stat

import numpy as np
import pytest
from astropy.io import fits

from sedmd.host import files
from sedmd.host.files import DiskFull, sha256_of, write_bytes_atomic
from sedmd.products.fitsio import ProductFault, add_cards, card_value, carried_header, read_checked, write_fits_atomic


def names_in(directory):
    return sorted(entry.name for entry in directory.iterdir())


def small_hdul():
    image = fits.ImageHDU(np.arange(12.0).reshape(3, 4), name="NUMBERS")
    return fits.HDUList([fits.PrimaryHDU(np.ones((2, 2), np.float32)), image])


def test_checksum_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a" / "b.txt"
    digest = write_bytes_atomic(b"abc", path)
    assert path.read_bytes() == b"abc"
    # FIPS 180-2, example B.1
    assert digest == sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_nothing_but_the_file_is_left(tmp_path):
    write_fits_atomic(small_hdul(), tmp_path / "x.fits")
    assert names_in(tmp_path) == ["x.fits"]


def test_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "x.fits"
    path.write_bytes(b"old")

    def no_room(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_room)
    with pytest.raises(DiskFull, match=r"x\.fits: .* make room"):
        write_fits_atomic(small_hdul(), path)
    assert names_in(tmp_path) == ["x.fits"]
    assert path.read_bytes() == b"old"


def test_other_errors_of_the_disk_are_not_called_a_full_disk(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_bytes_atomic(b"x", tmp_path / "x")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(("durable", "synced"), [(True, ["temporary", "folder"]), (False, [])])
def test_content_reaches_the_disk_before_its_name_and_the_name_before_the_return(
    tmp_path, monkeypatch, durable, synced
):
    path, heard = tmp_path / "x", []

    def heed(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "temporary"
        assert path.exists() == (kind == "folder")
        heard.append(kind)

    monkeypatch.setattr(files.os, "fsync", heed)
    write_bytes_atomic(b"x", path, durable=durable)
    assert heard == synced and path.read_bytes() == b"x"


def test_same_content_gives_same_bytes(tmp_path):
    one = write_fits_atomic(small_hdul(), tmp_path / "one.fits")
    two = write_fits_atomic(small_hdul(), tmp_path / "two.fits")
    assert one == two


def test_checksums_are_right_for_any_reader(tmp_path):
    path = tmp_path / "x.fits"
    write_fits_atomic(small_hdul(), path)
    with fits.open(path, checksum=True) as hdul:
        for hdu in hdul:
            assert hdu.verify_checksum() == 1
            assert hdu.verify_datasum() == 1
        assert hdul[0].header["EXTEND"] is True


@pytest.mark.parametrize("place", [2900, 8700])
def test_one_changed_byte_is_noticed(tmp_path, place):
    path = tmp_path / "x.fits"
    write_fits_atomic(small_hdul(), path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProductFault, match=r"x\.fits"):
        read_checked(path)


@pytest.mark.parametrize("size", [0, 100, 2880, 6000])
def test_a_cut_file_is_refused(tmp_path, size):
    path = tmp_path / "x.fits"
    write_fits_atomic(small_hdul(), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ProductFault, match="remake it"):
        hdul = read_checked(path)
        _ = hdul["NUMBERS"].data
        raise ProductFault("not noticed")


def test_layout_cards_do_not_travel():
    header = fits.PrimaryHDU(np.zeros((4, 4), np.uint16)).header
    header["OBJECT"] = ("STD-Feige34", "name")
    header["TUNIT1"] = "m"
    header["HISTORY"] = "debiased"
    kept = carried_header(header)
    assert list(kept.keys()) == ["OBJECT", "HISTORY"]
    assert kept.comments["OBJECT"] == "name"


def test_world_coordinates_of_the_raw_frame_stay_behind():
    header = fits.Header({"CTYPE1": "RA---TAN", "CRVAL2": 1.0, "CD1_1": 1.0, "RA": "12:00", "CDATE": "x"})
    assert list(carried_header(header, world_coordinates=False)) == ["RA", "CDATE"]
    assert list(carried_header(header)) == list(header)


def test_values_that_fits_cannot_hold_become_harmless():
    header = fits.Header()
    add_cards(
        header,
        {
            "A": (float("nan"), "not a number"),
            "B": np.float32(1.5),
            "C": "caf\u00e9\n",
            "D": None,
            "LONG_NAME_MM": np.int64(3),
            "LONG_TEXT_NAME": "x" * 100,
        },
    )
    assert card_value(header, "A") is None
    assert header["B"] == 1.5
    assert header["C"] == "caf??"
    assert card_value(header, "D") is None
    assert card_value(header, "ABSENT") is None
    assert header["SEDM LONG_NAME_MM"] == 3
    assert header["SEDM LONG_TEXT_NAME"].startswith("xxxx")
    for card in header.cards:
        assert len(card.image) == 80
