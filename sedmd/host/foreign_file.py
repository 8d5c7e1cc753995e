"""The border around files that others put down: decisions, finders, products that were copied back, settings left.

Opens files of others: only a regular file of a sensible length, without waiting for a writer.
What it does to its reader becomes one sentence that names the file; the work goes on with the next one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from sedmd.core.errors import SedmError

T = TypeVar("T")

#: Most bytes of a decision, a request or a record in JSON; those of sedmd have less than 20 000.
MAX_TEXT = 1_000_000
#: Most bytes of a product; a cube has 20 MB.
MAX_PRODUCT = 1_000_000_000
#: An exact integer in JSON has no more digits than this: no number here needs them, and more take minutes.
MAX_DIGITS = 1000

_OTHER_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFLNK: "a link",
}


class ForeignFault(SedmError, OSError):
    """A file cannot be used as it is; the text names it, says what it is and what was expected."""


def open_regular(path: Path, *, most_bytes: int = MAX_PRODUCT, follow: bool = False) -> io.BufferedReader:
    """Open a regular file for reading, without waiting for anybody.

    Parameters
    ----------
    most_bytes : int
        A longer file is refused.
    follow : bool
        A link is followed: raw frames and products may lie elsewhere. What strangers leave is never behind a link.

    Raises
    ------
    ForeignFault
        It is a directory, link, pipe, socket or device, or too long.
    OSError
        There is none, or it cannot be opened.
    """
    # checked before it is opened: opening a device may have effects
    _refuse_other_kinds(path, path.stat() if follow else path.lstat(), most_bytes)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        _refuse_other_kinds(path, os.fstat(descriptor), most_bytes)
    except ForeignFault:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def content_of(path: Path, *, most_bytes: int = MAX_TEXT, follow: bool = False) -> bytes:
    """The bytes of a regular file, as `open_regular`; one that grows beyond the limit meanwhile is refused too."""
    with open_regular(path, most_bytes=most_bytes, follow=follow) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise _too_long(path, len(content), most_bytes)
    return content


def product_bytes(path: Path) -> bytes:
    """The bytes of a product, behind a link or not."""
    return content_of(path, most_bytes=MAX_PRODUCT, follow=True)


def text_of(path: Path, *, encoding: str = "utf-8") -> str:
    """The text of a report or of a spectrum as columns; what is no character becomes a sign that says so."""
    return content_of(path, most_bytes=MAX_PRODUCT, follow=True).decode(encoding, "replace")


def open_to_append(path: Path) -> BinaryIO:
    """Open a regular file to write at its end, or make it; never through a link, and no reader of a pipe is waited for.

    Raises
    ------
    OSError
        Something else lies there, or it cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    descriptor = os.open(path, flags, 0o644)  # no group writes into a journal
    try:
        _refuse_other_kinds(path, os.fstat(descriptor), 1 << 62)
    except ForeignFault:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "a+b")


def checksum_of(path: Path, *, most_bytes: int = MAX_PRODUCT) -> str:
    """SHA-256 of a regular file's bytes, hexadecimal, as ``sha256sum`` prints it; a link is followed."""
    with open_regular(path, most_bytes=most_bytes, follow=True) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_in(text: str) -> dict[str, Any]:
    """The table that a JSON text holds.

    Raises
    ------
    ValueError
        It is no JSON, no table, nested too deep, holds a number that is none, one of hundreds of digits, or text that
        is no Unicode; the message says so in a few words.
    """
    try:
        found = json.loads(text, parse_constant=_no_number, parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict):
        msg = f"it holds {type(found).__name__}, expected a table"
        raise ValueError(msg)
    if "\\u" in text:  # only by such an escape can half a character come in
        _refuse_half_characters(found)
    return found


def read_table(path: Path, *, most_bytes: int = MAX_TEXT) -> dict[str, Any]:
    """The table in a JSON file that anybody may have written.

    Raises
    ------
    ForeignFault
        As `open_regular` and `table_in`; the text names the file.
    OSError
        It cannot be read.
    """
    try:
        return table_in(content_of(path, most_bytes=most_bytes).decode("utf-8"))
    except ValueError as error:
        raise ForeignFault(f"{path.name}: not a whole JSON file ({error})") from None


def each(paths: Iterable[Path], read: Callable[[Path], T]) -> tuple[dict[Path, T], list[str]]:
    """Read files one by one: what could be read, and a sentence for each that could not."""
    found: dict[Path, T] = {}
    errors: list[str] = []
    for path in paths:
        try:
            found[path] = read(path)
        except Exception as error:
            # the boundary: a fault of a file costs that file only
            errors.append(sentence(path, error))
    return found, errors


def sentence(path: Path, error: Exception) -> str:
    """What is wrong with a file, in one line that names it."""
    if isinstance(error, SedmError):
        text = " ".join(str(error).split())
        return text if path.name in text else f"{path.name}: {text}"
    if isinstance(error, OSError) and error.strerror:
        return f"{path.name} cannot be read ({error.strerror}); check the file, its permissions and its disk"
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return f"{path.name} cannot be read ({what}); make it again, or remove it"


def plain(text: str) -> str:
    """A text of strangers, a file name perhaps, on one line and in characters that can be stored and printed."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def beginning(path: Path, *, most_bytes: int, follow: bool = False) -> io.BytesIO:
    """The first bytes of a regular file, to be read on as a file."""
    with open_regular(path, follow=follow) as file:
        return io.BytesIO(file.read(most_bytes))


def _refuse_other_kinds(path: Path, status: os.stat_result, most_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _OTHER_KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise ForeignFault(f"{path.name} is {kind}; expected a regular file. Remove it")
    if status.st_size > most_bytes:
        raise _too_long(path, status.st_size, most_bytes)


def _too_long(path: Path, size: int, most_bytes: int) -> ForeignFault:
    return ForeignFault(f"{path.name} has {size} bytes; expected at most {most_bytes}. Remove it")


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is not a valid number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _refuse_half_characters(value: Any) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and not one.isascii():
            try:
                one.encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError("text that is not Unicode") from None
