"""Files and sums are those of astropy, and what is read back is what was written."""

import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sedmd.products.fitsbytes import in_pieces, pixels
from sedmd.raw.fitsfile import damage_of
from sedmd.raw.fitssum import checksum_text, ones_complement_sum

ABOUT = "this extension, see FITS standard 4.4.2.7"
IMAGES = [
    pytest.param(None, id="no data"),
    pytest.param(np.arange(12, dtype=np.uint8).reshape(3, 4), id="uint8"),
    pytest.param(np.arange(-6, 6, dtype=np.int16).reshape(3, 4), id="int16"),
    pytest.param(np.arange(-6, 6, dtype=np.int32).reshape(2, 3, 2), id="int32"),
    pytest.param(np.arange(12, dtype=np.uint16).reshape(3, 4) + np.uint16(40000), id="uint16"),
    pytest.param(np.linspace(-1, 1, 720, dtype=np.float32).reshape(2, 360), id="one block"),
    pytest.param(np.linspace(-1, 1, 999)[::-1].reshape(27, 37).T, id="float64, turned"),
    pytest.param(np.array([[np.nan, np.inf, -0.0]], ">f4"), id="float32 as stored"),
]


def hdul(data):
    header = fits.Header([("OBJECT", "x" * 100, "a long text"), ("HIERARCH SEDM LONG NAME", 1.5, "")])
    table = fits.BinTableHDU.from_columns([fits.Column("ROLE", "5A", array=["raw", "bias"])], name="PROVENANCE")
    return fits.HDUList([fits.PrimaryHDU(data, header), fits.ImageHDU(data, name="AGAIN"), table])


def written_by_astropy(units):
    units.update_extend()
    for hdu in units:
        hdu.add_checksum(when=ABOUT, override_datasum=False)
    buffer = io.BytesIO()
    units.writeto(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("data", IMAGES)
def test_file_is_that_of_astropy_byte_for_byte(data):
    assert b"".join(in_pieces(hdul(data))) == written_by_astropy(hdul(data))


@pytest.mark.parametrize("data", IMAGES[1:])
def test_pixels_come_back_in_the_order_of_the_machine(data):
    content = written_by_astropy(hdul(data))
    opened = fits.open(io.BytesIO(content), memmap=False)
    for place in (0, 1):
        read = pixels(opened[place], content)
        assert_array_equal(read, data)
        assert read.dtype == data.dtype.newbyteorder("=")
        assert read.flags.writeable
        assert read.flags.c_contiguous


@given(st.integers(0, 2**32 - 1))
def test_text_makes_the_sum_of_its_unit_all_ones(total):
    text = checksum_text(total)
    assert text.isalnum()
    assert text.isascii()
    # the text stands at byte 11 of a card, that is one byte before a whole word
    card = f"CHECKSUM= '{text}'".ljust(80).encode()
    empty = card.replace(text.encode(), b"0" * 16)
    rest = (total - ones_complement_sum(empty)) % 0xFFFFFFFF
    assert (ones_complement_sum(card) + rest) % 0xFFFFFFFF == 0


@given(st.binary(max_size=70))
def test_sum_is_that_of_whole_words_and_overflow_is_added_below(data):
    padded = data + b"\0" * (-len(data) % 4)
    words = sum(int.from_bytes(padded[i : i + 4], "big") for i in range(0, len(padded), 4))
    found = ones_complement_sum(data)
    assert 0 <= found <= 0xFFFFFFFF
    assert found % 0xFFFFFFFF == words % 0xFFFFFFFF
    assert (found == 0) == (words == 0)


def test_damage_is_told_and_a_whole_file_has_none():
    content = written_by_astropy(hdul(np.ones((40, 50), np.float32)))
    assert damage_of(content, "x.fits") == ""
    for place in (200, 4000, len(content) - 3000):
        broken = bytearray(content)
        broken[place] ^= 1
        assert damage_of(bytes(broken), "x.fits")
    for size in (0, 2000, 2880, 5000, len(content) - 2880):
        assert damage_of(content[:size], "x.fits")
