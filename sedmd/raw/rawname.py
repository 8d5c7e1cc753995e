"""Names of raw files: which suffixes a raw frame may have, and its name without them. The only place that knows."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePath


class Packing(StrEnum):
    """How a raw frame is packed; the values are the suffixes."""

    PLAIN = ".fits"
    GZIP = ".fits.gz"
    FPACK = ".fits.fz"


#: Suffixes of a raw frame.
RAW_SUFFIXES = tuple(str(packing) for packing in Packing)


def packing_of(path: PurePath | str) -> Packing | None:
    """How a file of this name is packed; None if that is no name of a raw frame."""
    name = _name(path)
    return next((packing for packing in Packing if name.endswith(packing) and name != packing), None)


def stem_of(path: PurePath | str) -> str:
    """Name of a raw frame without directory and suffix: the same for the plain, gzipped and fpacked file."""
    name, packing = _name(path), packing_of(path)
    return name.removesuffix(packing) if packing else name


def is_frame_stem(name: str) -> bool:
    """True for the name that the camera computer gives: a target of this name is one that nobody has named."""
    return re.fullmatch(r"ifu\d{8}_\d{2}_\d{2}_\d{2}", name) is not None


def _name(path: PurePath | str) -> str:
    # twenty thousand files may arrive at once: no path objects for what is a name
    return path.rpartition("/")[2] if isinstance(path, str) else path.name
