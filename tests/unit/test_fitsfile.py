"""Completeness, as a table of the states in which a landing file can be found."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from night.raw_night import cards, frame_bytes

from sedmd.errors import FrameFault
from sedmd.fitsfile import examine, primary_extent

FRAME = frame_bytes(cards(datetime(2019, 6, 12, 4, tzinfo=UTC), "x"), seed=1)
HEADER = primary_extent(FRAME).header_bytes
LONG = frame_bytes(cards(datetime(2019, 6, 12, 4, tzinfo=UTC), "x") | {f"CARD{n}": n for n in range(60)}, seed=1)


def two_hdus() -> bytes:
    from io import BytesIO

    image = np.arange(5000, dtype=np.int16).reshape(50, 100) + 1
    file = BytesIO()
    fits.HDUList([fits.PrimaryHDU(image), fits.ImageHDU(image)]).writeto(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "content, whole, reason",
    [
        (b"", False, "0 bytes"),
        (FRAME[:100], False, "100 bytes"),
        (FRAME[: HEADER - 80], False, ""),
        (FRAME[:HEADER], False, f"{HEADER} of {len(FRAME)} bytes"),
        (FRAME[: HEADER + 3000], False, "of"),
        (FRAME[:-1], False, f"{len(FRAME) - 1} of {len(FRAME)}"),
        (FRAME, True, ""),
        (FRAME + b"\0" * 2880, True, ""),
        (FRAME + b"junk" * 1000, True, ""),
        (b"\0" * len(FRAME), False, "has not ended"),
        (FRAME[:HEADER] + b"\0" * (len(FRAME) - HEADER), False, "space reserved"),
        (FRAME[:-5000] + b"\0" * 5000, False, "space reserved"),
        (LONG, True, ""),
        (LONG[:-2880], False, "of"),
        (two_hdus(), True, ""),
        (two_hdus()[:-2880], False, "of"),
    ],
)
def test_states_of_a_landing_file(tmp_path, content, whole, reason):
    path = tmp_path / "ifu.fits"
    path.write_bytes(content)
    verdict = examine(path)
    assert verdict.whole is whole
    assert reason in verdict.reason
    assert bool(verdict.reason) is not whole


def test_every_prefix_is_incomplete(tmp_path):
    path = tmp_path / "ifu.fits"
    for length in range(0, len(FRAME), 997):
        path.write_bytes(FRAME[:length])
        assert not examine(path).whole, length


@pytest.mark.parametrize("content", [b"PK\3\4 a zip file", b"\x1f\x8b" + b"gzip" * 1000, b"<html>" * 1000])
def test_what_can_never_be_a_frame_is_refused_at_once(tmp_path, content):
    path = tmp_path / "ifu.fits"
    path.write_bytes(content)
    with pytest.raises(FrameFault, match="SIMPLE"):
        examine(path)


def test_expected_size_is_derived_from_the_cards_of_a_real_frame(tmp_path):
    # 2048 x 2048 pixels of 16 bits and a header of four blocks: the size that the observatory knows
    header = fits.PrimaryHDU(np.zeros((1, 1), np.uint16)).header
    header["NAXIS1"] = header["NAXIS2"] = 2048
    for number in range(110):
        header[f"CARD{number}"] = number
    path = tmp_path / "ifu.fits"
    path.write_bytes(header.tostring().encode())
    assert examine(path).expected == 8400960


def test_missing_file_is_an_os_error():
    with pytest.raises(OSError, match="No such file"):
        examine(Path("nowhere.fits"))
