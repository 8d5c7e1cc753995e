"""The sums by which FITS files guard their bytes: DATASUM and CHECKSUM (FITS standard 4.0, 4.4.2.7 and appendix J)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALL_ONES = 0xFFFFFFFF
#: Punctuation between digits and letters and between the cases, which CHECKSUM excludes.
_PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")


def ones_complement_sum(data: bytes | memoryview | NDArray[Any]) -> int:
    """Sum of big-endian words of 32 bits, what overflows added at the lower end.

    Parameters
    ----------
    data : bytes-like, contiguous; zeros are added up to a whole word
    """
    content = np.frombuffer(data, np.uint8)
    whole = content.size // 4 * 4
    total = int(content[:whole].view(">u4").sum(dtype=np.uint64))
    total += int.from_bytes(content[whole:].tobytes().ljust(4, b"\0"), "big")
    while total >> 32:
        total = sum_with(total & _ALL_ONES, total >> 32)
    return total


def checksum_text(total: int) -> str:
    """Value of a CHECKSUM card that makes the sum of its unit all ones.

    Parameters
    ----------
    total : sum of the unit with sixteen zeros in the card's place

    Returns
    -------
    str of 16 letters and digits
    """
    complement = (_ALL_ONES - total).to_bytes(4, "big")
    rows = [_four_characters(byte) for byte in complement]
    text = bytes(rows[i % 4][i // 4] for i in range(16))
    # the value begins at the last byte of a word: the string is turned right by one
    return (text[-1:] + text[:-1]).decode("ascii")


def sum_with(total: int, more: int) -> int:
    """Sum of two sums."""
    total += more
    return (total & _ALL_ONES) + (total >> 32)


def _four_characters(byte: int) -> list[int]:
    """Four characters whose distances from "0" add up to a byte, none of them punctuation."""
    quarter, rest = divmod(byte, 4)
    made = [ord("0") + quarter + rest, *(3 * [ord("0") + quarter])]
    while any(character in _PUNCTUATION for character in made):
        for one in (0, 2):
            if made[one] in _PUNCTUATION or made[one + 1] in _PUNCTUATION:
                made[one] += 1
                made[one + 1] -= 1
    return made
