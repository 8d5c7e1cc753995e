"""Completeness, as a table of the states in which a landing file can be found."""

import os
import socket
import stat
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from night.raw_night import cards, frame_bytes

from sedmd.core.errors import FrameFault
from sedmd.raw.fitsfile import MAX_BYTES, MAX_HEADER_BLOCKS, examine, open_regular, primary_extent, read_plain

FRAME = frame_bytes(cards(datetime(2019, 6, 12, 4, tzinfo=UTC), "x"), seed=1)
HEADER = primary_extent(FRAME).header_bytes
DATA_END = HEADER + primary_extent(FRAME).data_bytes
LONG = frame_bytes(cards(datetime(2019, 6, 12, 4, tzinfo=UTC), "x") | {f"CARD{n}": n for n in range(60)}, seed=1)


def summed_without_padding(*, flip: bool = False) -> bytes:
    """With DATASUM and CHECKSUM; an odd number of 16-bit pixels, and nothing behind them."""
    file = BytesIO()
    fits.HDUList([fits.PrimaryHDU(np.arange(1, 2602, dtype=np.int16).reshape(51, 51))]).writeto(file, checksum=True)
    content = bytearray(file.getvalue()[: primary_extent(file.getvalue()).header_bytes + 2 * 51 * 51])
    content[-1] ^= flip
    return bytes(content)


def two_hdus() -> bytes:
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
        (FRAME[: DATA_END - 1], False, f"{DATA_END - 1} of {len(FRAME)}"),
        (FRAME[:DATA_END], True, ""),
        (FRAME[:-1], True, ""),
        (FRAME, True, ""),
        (FRAME + b"\0" * 2880, True, ""),
        (FRAME + b"junk" * 1000, True, ""),
        (FRAME + b"X", False, "has not ended"),
        (FRAME + b"XTENSION= 'IMAGE", False, "has not ended"),
        (b"\0" * len(FRAME), False, "has not ended"),
        (FRAME[:800] + b"\0" * 400 + FRAME[1200:], False, "holds zero bytes"),
        (FRAME[: HEADER + 1000] + b"\0" * 4096 + FRAME[HEADER + 5096 :], False, "2048 bytes from byte"),
        (FRAME[:HEADER] + b"\0" * (len(FRAME) - HEADER), False, "space reserved"),
        (FRAME[:-5000] + b"\0" * 5000, False, "space reserved"),
        (summed_without_padding(), True, ""),
        (summed_without_padding(flip=True), False, "DATASUM"),
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


def card(text: str) -> bytes:
    return text.encode().ljust(80)


def with_cards(content: bytes, *cards_: str) -> bytes:
    """The same file with further cards in its primary header."""
    end = content.index(b"END" + b" " * 77)
    cards_bytes = b"".join(card(text) for text in cards_)
    block = end // 2880 * 2880 + 2880
    assert end + len(cards_bytes) + 80 <= block
    return content[:end] + cards_bytes + content[end : block - len(cards_bytes)] + content[block:]


def summed() -> bytes:
    """A frame with DATASUM and CHECKSUM, as astropy writes them."""
    file = BytesIO()
    with fits.open(BytesIO(FRAME), do_not_scale_image_data=True) as hdul:
        hdul.writeto(file, checksum=True)
    return file.getvalue()


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


SUMMED = summed()
SUM = SUMMED[SUMMED.index(b"DATASUM =") :][11:21].decode().strip("' ")


@pytest.mark.parametrize(
    "content, reason",
    [
        (SUMMED, ""),
        (flipped(SUMMED, len(SUMMED) - 3000), "DATASUM of the HDU at byte 0 is"),
        (SUMMED.replace(b"AIRMASS =                  1.2", b"AIRMASS =                  1.3"), "CHECKSUM"),
        (with_cards(FRAME, f"DATASUM = '{SUM}'"), ""),
        (with_cards(FRAME, f"DATASUM = {SUM}"), ""),
        (with_cards(FRAME, f"DATASUM = '{int(SUM) + 1}'"), "DATASUM"),
        (with_cards(FRAME, "DATASUM = 'unknown'"), "DATASUM of the HDU at byte 0 is unknown"),
        (with_cards(FRAME, "DATASUM = ''", "CHECKSUM= ''"), ""),
        (with_cards(FRAME, "CHECKSUM= '0000000000000000'"), ""),
    ],
)
def test_sums_are_checked_where_the_cards_are(tmp_path, content, reason):
    path = tmp_path / "ifu.fits"
    path.write_bytes(content)
    verdict = examine(path)
    assert verdict.whole is not bool(reason)
    assert verdict.damaged is bool(reason)
    assert verdict.reason.startswith(reason)


@pytest.mark.parametrize(
    "content, min_hdus, reason",
    [
        (FRAME, 1, ""),
        (FRAME, 2, "1 of 2 HDUs"),
        (two_hdus(), 2, ""),
        (two_hdus(), 3, "2 of 3 HDUs"),
        (with_cards(FRAME, "NEXTEND = 0"), 1, ""),
        (with_cards(FRAME, "NEXTEND = 1"), 1, "1 of 2 HDUs"),
        (with_cards(FRAME, "NEXTEND = 1") + b"\0" * 5760, 1, "1 of 2 HDUs"),
        (with_cards(two_hdus(), "NEXTEND = 1"), 1, ""),
        (with_cards(two_hdus(), "NEXTEND = 3"), 2, "2 of 4 HDUs"),
        (with_cards(FRAME, "NEXTEND = 'many'"), 1, ""),
        (with_cards(FRAME, "NEXTEND = -1"), 1, ""),
    ],
)
def test_a_file_cut_between_two_extensions_is_not_whole(tmp_path, content, min_hdus, reason):
    path = tmp_path / "ifu.fits"
    path.write_bytes(content)
    verdict = examine(path, min_hdus=min_hdus)
    assert (verdict.whole, verdict.reason.startswith(reason)) == (not reason, True)


def holes_are_told(folder: Path) -> bool:
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 20)
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 0


def test_a_hole_in_the_middle_is_seen_where_the_file_system_tells(tmp_path):
    if not holes_are_told(tmp_path):
        pytest.skip("this file system does not tell holes from zeros")
    pixels = np.full((512, 512), 7, dtype=np.int16)  # without BZERO: a zero may be a level
    whole = fits.PrimaryHDU(pixels).header.tostring().encode() + pixels.astype(">i2").tobytes()
    whole += b"\0" * (-len(whole) % 2880)
    path = tmp_path / "ifu.fits"
    with path.open("wb") as file:
        file.write(whole[:100_000])
        file.seek(300_000)
        file.write(whole[300_000:])
    verdict = examine(path)
    assert (verdict.whole, verdict.damaged) == (False, True)
    assert "a hole at byte" in verdict.reason
    path.write_bytes(whole)
    assert examine(path).whole


def test_zero_levels_of_signed_frames_are_no_gap(tmp_path):
    pixels = np.zeros((64, 64), dtype=np.int16)
    pixels[40:] = 7
    path = tmp_path / "ifu.fits"
    fits.PrimaryHDU(pixels).writeto(path)
    assert examine(path).whole


def changed(old: str, new: str) -> bytes:
    assert card(old)[:30] in FRAME
    return FRAME.replace(card(old)[:30], card(new)[:30])


@pytest.mark.parametrize(
    "content, message",
    [
        (changed("SIMPLE  =                    T", "SIMPLE  =                    F"), "SIMPLE is F; expected T"),
        (changed("BITPIX  =                   16", "BITPIX  =                   17"), "BITPIX is 17"),
        (changed("BITPIX  =                   16", "BITPIX  =                sixty"), "BITPIX is sixty"),
        (changed("NAXIS   =                    2", "NAXIS   =                   -1"), "NAXIS is -1"),
        (changed("NAXIS   =                    2", "NAXIS   =                    3"), "NAXIS3 is missing"),
        (changed("NAXIS   =                    2", "NAXIS   =           1000000000"), "NAXIS is 1000000000"),
        (changed("NAXIS1  =                   64", "NAXIS1  =                  -64"), "NAXIS1 is -64"),
        (changed("NAXIS1  =                   64", "NAXIS1  =                 64.0"), "NAXIS1 is 64.0"),
        (changed("NAXIS1  =                   64", "NAXIS1  =                  6_4"), "NAXIS1 is 6_4"),
        (changed("NAXIS1  =                   64", "NAXIS1  =             64000000"), "promise 8.19e"),
        (changed("NAXIS1  =                   64", "NAXIS1  = 99999999999999999999"), "NAXIS1 is 9999999"),
        (with_cards(FRAME, "GCOUNT  = -1"), "GCOUNT is -1"),
        (with_cards(FRAME, "PCOUNT  = 999999999"), "PCOUNT is 999999999"),
        (FRAME.replace(b"END" + b" " * 77, b" " * 80), "binary data; expected an END card"),
        (
            FRAME[: FRAME.index(card("END"))] + card("COMMENT") * 36 * (MAX_HEADER_BLOCKS + 1),
            "expected an END card within 125 blocks",
        ),
        (b"\x1f\x8b\x08" + FRAME, "its name should end in .fits.gz"),
    ],
)
def test_headers_that_can_never_become_a_frame(tmp_path, content, message):
    path = tmp_path / "ifu.fits"
    path.write_bytes(content)
    for judge in (examine, read_plain):
        with pytest.raises(FrameFault, match=message) as fault:
            judge(path)
        assert str(fault.value).startswith("ifu.fits")
        assert "Copy" in str(fault.value)


def test_999_axes_promise_more_than_a_number_can_tell(tmp_path):
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16", "NAXIS   =                  999"]
    cards += [f"NAXIS{axis:<3}=           {MAX_BYTES}" for axis in range(1, 1000)]
    header = "".join(f"{card:80}" for card in [*cards, "END"]).encode()
    path = tmp_path / "ifu20190612_04_00_00.fits"
    path.write_bytes(header + b" " * (-len(header) % 2880))
    with pytest.raises(FrameFault, match="the cards promise over 1e300 bytes"):
        examine(path)


def test_a_file_beyond_all_measure_is_not_read(tmp_path):
    path = tmp_path / "ifu.fits"
    with path.open("wb") as file:
        file.write(FRAME)
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(FrameFault, match=r"expected a raw frame of 8\.4 MB"):
        examine(path)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    places = {kind: tmp_path / f"{kind}.fits" for kind in ("directory", "pipe", "socket")}
    places["directory"].mkdir()
    os.mkfifo(places["pipe"])
    folder = os.open(tmp_path, os.O_RDONLY)  # an address is 108 bytes at most; a folder that is open has a short name
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/socket.fits")
    os.close(folder)
    for kind, path in places.items():
        with pytest.raises(FrameFault, match=f"is a {kind}; expected a regular file. Remove"):
            examine(path)
    with pytest.raises(FrameFault, match="is a device"):
        examine(Path("/dev/zero"))


def test_a_link_to_nowhere_and_a_ring_of_links_are_os_errors(tmp_path):
    (tmp_path / "a.fits").symlink_to("b.fits")
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "a.fits")
    (tmp_path / "b.fits").symlink_to("a.fits")
    with pytest.raises(OSError, match="symbolic links"):
        examine(tmp_path / "a.fits")


def test_a_link_to_a_frame_is_the_frame(tmp_path):
    (tmp_path / "real.fits").write_bytes(FRAME)
    (tmp_path / "a.fits").symlink_to("real.fits")
    assert examine(tmp_path / "a.fits").whole


def test_open_regular_gives_what_is_there_and_closes_what_is_not(tmp_path):
    path = tmp_path / "ifu.fits"
    path.write_bytes(FRAME)
    with open_regular(path) as file:
        assert stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        assert file.read() == FRAME
