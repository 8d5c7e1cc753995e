"""Packed frames: the same frame as the plain file, and every kind of damage named."""

import gzip
import os
import shutil
import subprocess
import tracemalloc
import zlib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from night.raw_night import SHAPE, cards, frame_bytes

from sedmd.core.errors import FrameFault
from sedmd.raw.fitsfile import examine, read_plain
from sedmd.raw.frames import read_frame
from sedmd.raw.unpack import MAX_BYTES
from sedmd.steps.raw import read_raw

START = datetime(2019, 6, 12, 4, 28, 2, tzinfo=UTC)
PLAIN = frame_bytes(cards(START, "ZTF19abc [A]"), seed=1)
GZIPPED = gzip.compress(PLAIN, mtime=0)
STEM = "ifu20190612_04_28_02"


def fpacked(plain: bytes, *, method: str = "RICE_1", checksum: bool = False, **options: object) -> bytes:
    """What a packing program makes of a plain file; astropy stands in for fpack."""
    with fits.open(BytesIO(plain), do_not_scale_image_data=True) as hdul:
        header = hdul[0].header
        packed = fits.CompImageHDU(hdul[0].data, compression_type=method, **options)
        for key in header:
            if key not in ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BZERO", "BSCALE"):
                packed.header[key] = header[key]
        file = BytesIO()
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(file, checksum=checksum)
    # astropy would rescale with these; they are given back as they were
    return _with_scale(file.getvalue())


def _with_scale(packed: bytes) -> bytes:
    at = packed.index(b"ZIMAGE  =")
    end = packed.index(b"END" + b" " * 77, at)
    cards_ = b"BZERO   =                32768".ljust(80) + b"BSCALE  =                    1".ljust(80)
    assert (end % 2880) + 240 <= 2880, "no room for two cards"
    return packed[:end] + cards_ + packed[end : end + 80] + packed[end + 240 :]


FPACKED = fpacked(PLAIN)


def write(folder: Path, content: bytes, suffix: str) -> Path:
    path = folder / (STEM + suffix)
    path.write_bytes(content)
    return path


def test_gzipped_frame_is_the_very_same_frame(tmp_path):
    plain = read_frame(write(tmp_path, PLAIN, ".fits"), shape=SHAPE)
    packed = read_frame(write(tmp_path, GZIPPED, ".fits.gz"), shape=SHAPE)
    assert packed.path.name == STEM + ".fits.gz"
    assert {name: getattr(packed, name) for name in plain.__slots__ if name != "path"} == {
        name: getattr(plain, name) for name in plain.__slots__ if name != "path"
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "GZIP_1"},
        {"method": "GZIP_2"},
        {"tile_shape": (64, 64)},
        {"tile_shape": (7, 9)},
    ],
    ids=str,
)
def test_fpacked_frame_has_the_same_pixels_and_cards(tmp_path, options):
    plain = read_frame(write(tmp_path, PLAIN, ".fits"), shape=SHAPE)
    packed = read_frame(write(tmp_path, fpacked(PLAIN, **options), ".fits.fz"), shape=SHAPE)
    for name in set(plain.__slots__) - {"path"}:
        assert getattr(packed, name) == getattr(plain, name), name


@pytest.mark.skipif(shutil.which("fpack") is None and "CI" not in os.environ, reason="fpack is not installed")
@pytest.mark.parametrize("option", ["-r", "-g1", "-g2"])
def test_fpack_itself_gives_the_very_same_frame(tmp_path, option):
    path = write(tmp_path, PLAIN, ".fits")
    subprocess.run(["fpack", option, str(path)], check=True)
    plain, packed = read_frame(path, shape=SHAPE), read_frame(tmp_path / f"{STEM}.fits.fz", shape=SHAPE)
    assert (packed.checksum, packed.data_checksum) == (plain.checksum, plain.data_checksum)


def test_steps_read_the_same_pixels_from_all_three(tmp_path):
    data, header = read_raw(write(tmp_path, PLAIN, ".fits"))
    assert data.dtype == np.uint16
    for content, suffix in ((GZIPPED, ".fits.gz"), (FPACKED, ".fits.fz")):
        again, cards_ = read_raw(write(tmp_path, content, suffix))
        np.testing.assert_array_equal(again, data)
        assert again.dtype == data.dtype
        # astropy, which packs here, drops EXTEND; fpack keeps it
        assert all(cards_[key] == header[key] for key in header if key != "EXTEND")


def test_every_prefix_of_a_packed_file_is_incomplete(tmp_path):
    for content, suffix in ((GZIPPED, ".fits.gz"), (FPACKED, ".fits.fz")):
        lengths = {*range(0, len(content), 211), len(content) - 1, len(content) - 4, len(content) - 8}
        for length in sorted(lengths):
            verdict = examine(write(tmp_path, content[:length], suffix))
            assert not verdict.whole, (suffix, length)
            assert verdict.reason
        assert examine(write(tmp_path, content, suffix)).whole


def test_members_padding_and_junk_behind_a_gzip_stream(tmp_path):
    halves = gzip.compress(PLAIN[:3000], mtime=0) + gzip.compress(PLAIN[3000:], mtime=0)
    for content in (halves, GZIPPED + b"\0" * 5000, GZIPPED + b"junk"):
        assert read_plain(write(tmp_path, content, ".fits.gz")) == PLAIN


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


@pytest.mark.parametrize(
    "content, suffix, message",
    [
        (GZIPPED[:-1], ".fits.gz", "is cut: the gzip stream has not ended"),
        (flipped(GZIPPED, len(GZIPPED) - 6), ".fits.gz", "is damaged: .*CRC or length does not match"),
        (flipped(GZIPPED, len(GZIPPED) - 1), ".fits.gz", "is damaged: .*CRC or length does not match"),
        (GZIPPED[:2000] + b"\0" * (len(GZIPPED) - 2000), ".fits.gz", "gzip stream"),
        (b"\0" * 5000, ".fits.gz", "space reserved"),
        (b"", ".fits.gz", "no bytes yet"),
        (PLAIN, ".fits.gz", "take .gz off its name"),
        (GZIPPED, ".fits", "its name should end in .fits.gz"),
        (GZIPPED, ".fits.fz", "its name should end in .fits.gz"),
        (PLAIN, ".fits.fz", "Take .fz off its name"),
        (FPACKED, ".fits", r"it must be named .fits.fz"),
        (gzip.compress(PLAIN[:-3000], mtime=0), ".fits.gz", "the gzip file is whole but the frame in it is not"),
        (gzip.compress(b"text", mtime=0), ".fits.gz", "does not begin with a SIMPLE card"),
        (gzip.compress(b"", mtime=0), ".fits.gz", "0 bytes"),
        (FPACKED.replace(b"RICE_1", b"HCOMPR"), ".fits.fz", "packed by HCOMPR; expected RICE_1"),
        (FPACKED.replace(b"ZBITPIX =                   16", b"ZBITPIX =                  -32"), ".fits.fz", "-32"),
        (FPACKED.replace(b"ZNAXIS1 =                   64", b"ZNAXIS1 =             64000000"), ".fits.fz", "tiles of"),
        (
            FPACKED.replace(b"ZNAXIS2 =                   64", b"ZNAXIS2 =                   63"),
            ".fits.fz",
            "holds 64 ti",
        ),
        (
            FPACKED.replace(b"ZIMAGE  =                    T", b"ZIMAGE  =                    F"),
            ".fits.fz",
            "no compre",
        ),
        (FPACKED.replace(b"COMPRESSED_DATA", b"COMPRESSED_DATE"), ".fits.fz", "cannot be unpacked"),
    ],
)
def test_damaged_packings_say_why(tmp_path, content, suffix, message):
    with pytest.raises(FrameFault, match=message) as fault:
        read_frame(write(tmp_path, content, suffix), shape=SHAPE)
    assert "\n" not in str(fault.value)
    assert "expected" in str(fault.value) or "Copy" in str(fault.value)


def test_a_tile_outside_of_the_heap(tmp_path):
    table = FPACKED.index(b"ZIMAGE") // 2880 * 2880
    table = primary_like_end(FPACKED, table)
    content = bytearray(FPACKED)
    content[table : table + 4] = (10**6).to_bytes(4, "big")
    with pytest.raises(FrameFault, match="a tile lies outside of its heap"):
        read_plain(write(tmp_path, bytes(content), ".fits.fz"))


def with_values(content: bytes, **values: object) -> bytes:
    """An fpacked file with other numbers in cards that it has."""
    for key, value in values.items():
        at = content.index(key.ljust(8).encode() + b"= ", content.index(b"ZIMAGE  ="))
        content = content[: at + 10] + f"{value!s:>20}".encode() + content[at + 30 :]
    return content


def settings_of(content: bytes) -> dict[str, object]:
    """Settings of the packing by the names of the cards that hold their values."""
    header = fits.open(BytesIO(content), disable_image_compression=True)[1].header
    return {str(header[f"ZNAME{n}"]): f"ZVAL{n}" for n in (1, 2)}


RICE = settings_of(FPACKED)


@pytest.mark.parametrize(
    "key, value, message",
    [
        *[("BLOCKSIZE", value, "in blocks of") for value in (0, -32, 1, 31, 33, 2**31 - 1, 2**40, "T", 32.0)],
        # the decoder makes room for 4 bytes a pixel and would read so many out of it
        *[("BYTEPIX", value, "bytes to a pixel") for value in (0, -2, 3, 5, 8, 2**20, 2**40, "T", 2.0)],
        ("BYTEPIX", 1, "expected 1, 2 or 4, and 16 bits"),
    ],
)
def test_settings_of_the_packing_never_reach_the_decoder_out_of_range(tmp_path, monkeypatch, key, value, message):
    monkeypatch.setattr("sedmd.raw.unpack._decode", lambda *_: pytest.fail("decoded"))
    content = with_values(FPACKED, **{RICE[key]: value})
    with pytest.raises(FrameFault, match=message):
        read_plain(write(tmp_path, content, ".fits.fz"))


def test_four_bytes_to_a_pixel_hold_sixteen_bits(tmp_path):
    header = fits.open(BytesIO(FPACKED), disable_image_compression=True)[1].header
    assert header[RICE["BYTEPIX"]] == 2
    renamed = FPACKED.replace(b"'BYTEPIX '", b"'BITEPIX '")  # the standard's default, 4, holds without the word
    with pytest.raises(FrameFault, match="cannot be unpacked"):  # the tiles were packed with 2
        read_plain(write(tmp_path, renamed, ".fits.fz"))


@pytest.mark.parametrize("length", [1, 2])
def test_a_tile_that_is_too_short_for_its_pixels_is_not_decoded(tmp_path, monkeypatch, length):
    # 64 pixels of 2 bytes in blocks of 32: first pixel, and twice 4 bits
    monkeypatch.setattr("sedmd.raw.unpack._decode", lambda *_: pytest.fail("decoded"))
    at = primary_like_end(FPACKED, FPACKED.index(b"ZIMAGE"))
    content = FPACKED[:at] + length.to_bytes(4, "big") + FPACKED[at + 4 :]
    with pytest.raises(FrameFault, match=f"a tile has {length} bytes; expected 3 or more"):
        read_plain(write(tmp_path, content, ".fits.fz"))


@pytest.mark.parametrize("key", ["ZVAL1", "ZVAL2", "ZTILE1", "ZNAXIS2", "PCOUNT"])
def test_a_card_that_stands_twice_is_not_left_to_the_decoder(tmp_path, key):
    at = FPACKED.index(b"ZIMAGE  =")
    last = FPACKED.index(b"LAMPCUR =", at)
    twice = key.ljust(8).encode() + b"= " + b"1".rjust(20) + b" " * 50
    content = FPACKED[:last] + twice + FPACKED[last + 80 :]
    with pytest.raises(FrameFault, match=f"its card {key} can be read in two ways"):
        read_plain(write(tmp_path, content, ".fits.fz"))


def primary_like_end(content: bytes, at: int) -> int:
    """Where the data of the header that holds byte `at` begin."""
    return (content.index(b"END" + b" " * 77, at) // 2880 + 1) * 2880


def test_sums_of_the_packed_table_are_checked(tmp_path):
    content = fpacked(PLAIN.replace(b"GAIN    =", b"GAIM    ="))
    summed = fits.open(BytesIO(content), disable_image_compression=True)
    file = BytesIO()
    summed.writeto(file, checksum=True)
    good = file.getvalue()
    assert examine(write(tmp_path, good, ".fits.fz")).whole
    data = primary_like_end(good, good.index(b"ZIMAGE"))
    verdict = examine(write(tmp_path, flipped(good, data + 600), ".fits.fz"))
    assert (verdict.whole, verdict.damaged) == (False, True)
    assert "DATASUM" in verdict.reason


@pytest.mark.parametrize("kind", ["gzip", "tile"])
def test_a_bomb_does_not_eat_the_memory(tmp_path, kind):
    zeros = zlib.compressobj(9, wbits=31)
    piece = bytes(range(256)) * 40_000
    bomb = b"".join(zeros.compress(piece) for _ in range(2 * MAX_BYTES // len(piece))) + zeros.flush()
    if kind == "gzip":
        path = write(tmp_path, bomb, ".fits.gz")
    else:
        packed = fpacked(PLAIN, method="GZIP_1", tile_shape=SHAPE)
        at = primary_like_end(packed, packed.index(b"ZIMAGE"))
        heap = bomb + b"\0" * (-(len(bomb) + 8) % 2880)
        head = packed[:at].replace(
            b"PCOUNT  = " + f"{int(fits.Header.fromstring(packed[2880:at].decode())['PCOUNT']):>20}".encode(),
            b"PCOUNT  = " + f"{len(bomb):>20}".encode(),
        )
        descriptor = len(bomb).to_bytes(4, "big") + b"\0" * 4
        path = write(tmp_path, head + descriptor + heap, ".fits.fz")
    tracemalloc.start()
    try:
        with pytest.raises(FrameFault, match=r"inflates to more than|longer than the image"):
            read_plain(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * MAX_BYTES


def test_a_hole_in_the_packed_pixels(tmp_path):
    data = primary_like_end(FPACKED, FPACKED.index(b"ZIMAGE"))
    holed = FPACKED[: data + 1000] + b"\0" * 3100 + FPACKED[data + 4100 :]  # the last rows are there
    verdict = examine(write(tmp_path, holed, ".fits.fz"))
    assert (verdict.whole, verdict.damaged) == (False, True)
    assert "are zero: space reserved" in verdict.reason


def test_data_sum_of_the_original_is_checked_after_unpacking(tmp_path):
    packed = FPACKED.replace(b"LAMPCUR =                  0.0", b"ZDATASUM= '12345     '        ")
    with pytest.raises(FrameFault, match="unpacked, DATASUM"):
        read_plain(write(tmp_path, packed, ".fits.fz"))
