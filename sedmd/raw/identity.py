"""The identity of a raw frame in any file: its pixels, and what its cards say."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sedmd.raw.header import Value

#: Cards that describe the file or its packing, not the exposure.
_OF_THE_FILE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|EXTNAME|EXTVER|LONGSTRN|TFIELDS|THEAP"
    r"|Z?(CHECKSUM|DATASUM)|Z(IMAGE|TENSION|BITPIX|NAXIS\d*|TILE\d+|CMPTYPE|QUANTIZ|SIMPLE|EXTEND|BLOCKED|PCOUNT|GCOUNT)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksums:
    """Checksums of a frame.

    Attributes
    ----------
    whole : str
        SHA-256 of pixels and cards, as hexadecimal digits. The order of the cards, their comments and the packing do
        not count: a frame that is gzipped or fpacked in place stays the same, one whose header was completed does not.
    data : str
        SHA-256 of the pixel bytes alone.
    n_cards : int
        How many cards tell something of the exposure; of two copies of a frame the one with more is the fuller.
    """

    whole: str
    data: str
    n_cards: int

    @classmethod
    def of(cls, cards: Mapping[str, Value], pixels: bytes | memoryview) -> Self:
        """Of the cards as the file has them, and the bytes of the array."""
        values = {key: value for key, value in cards.items() if not _OF_THE_FILE.fullmatch(key)}
        data = hashlib.sha256(pixels)
        whole = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
        whole.update(data.digest())
        return cls(whole=whole.hexdigest(), data=data.hexdigest(), n_cards=len(values))
