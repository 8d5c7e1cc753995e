"""Pictures that others put down, as finders: PNG or JPEG within bounds, decoded where a crash costs that one only.

This module knows no plots: the process that decodes a picture loads it, and is to be quick.
"""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from PIL import Image

from sedmd.host.foreign_file import content_of
from sedmd.host.isolated import apart

#: Most pixels of a stranger's picture, and most bytes of its file; a finder has 0.6 million and 0.4 MB.
MAX_PIXELS, MAX_PICTURE = 40_000_000, 40_000_000


def picture_bytes(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises
    ------
    OSError
        ForeignFault if it is no regular file, or longer than `MAX_PICTURE`.
    """
    return content_of(path, most_bytes=MAX_PICTURE)


def jpeg_apart(content: bytes, *, edge: int = 600) -> bytes:
    """`thumbnail`, in a process that may die. Raises Died, and as `thumbnail`."""
    return apart(partial(thumbnail, edge=edge), content)


def pixels_apart(content: bytes, *, edge: int) -> tuple[int, int, bytes]:
    """`pixels`, in a process that may die. Raises Died, and as `thumbnail`."""
    return apart(partial(pixels, edge=edge), content)


def thumbnail(content: bytes, *, edge: int = 600) -> bytes:
    """A picture as JPEG, no edge longer than `edge`.

    Only PNG and JPEG are opened: other formats are handed to programs that execute their content.

    Raises
    ------
    OSError
        It is no such picture.
    ValueError
        It has more than `MAX_PIXELS` pixels.
    """
    buffer = io.BytesIO()
    _small(content, edge).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def pixels(content: bytes, *, edge: int) -> tuple[int, int, bytes]:
    """Width, height and RGB bytes of a picture, line after line, no edge longer than `edge`. Raises as `thumbnail`."""
    small = _small(content, edge)
    return (*small.size, small.tobytes())


def _small(content: bytes, edge: int) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels, expected at most {MAX_PIXELS / 1e6:g} million")
        small = picture.convert("RGB")
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return small
