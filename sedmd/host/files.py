"""Whole file or no file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from sedmd.core.errors import NotNow
from sedmd.host.foreign_file import checksum_of
from sedmd.host.sharing import make_folder, open_to_group

#: Operating-system errors that mean: no room. Nothing is wrong with the data; try again when there is room.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(NotNow):
    """A product could not be written for lack of room; nothing was left behind and the frame is not at fault."""


def write_bytes_atomic(content: bytes | Sequence[bytes | memoryview], path: Path, *, durable: bool = True) -> str:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    The bytes go to a hidden file in the same directory, are forced to the disk, and take the name in one step; then the
    directory is forced to the disk too. Missing directories are made.

    Parameters
    ----------
    content : bytes, or pieces of it in their order
    path : Path
        Final name; an existing file is replaced.
    durable : bool
        Wait until the disk has it. False is for what is made again without loss: after a power cut it may be empty.

    Returns
    -------
    str
        SHA-256 of the content, hexadecimal.

    Raises
    ------
    DiskFull
        No room, or the quota is used up.
    OSError
        Any other error of the disk.
    """
    pieces = [content] if isinstance(content, bytes) else content
    make_folder(path.parent)
    temporary = path.parent / f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}"
    try:
        # not what the umask leaves: a process that makes directories for a group to save into opens nothing else to it
        with open(temporary, "xb", opener=_for_all_to_read) as stream:
            stream.writelines(pieces)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        open_to_group(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.errno in _NO_ROOM:
            size = sum(map(len, pieces)) / 1e6
            raise DiskFull(
                f"{path.name}: {size:.1f} MB do not fit into {path.parent}; make room, then retry the job"
            ) from error
        raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    if durable:
        sync_directory(path.parent)
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _for_all_to_read(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file's bytes, hexadecimal, as ``sha256sum`` prints it; see `checksum_of`."""
    return checksum_of(path)


def sync_directory(directory: Path) -> None:
    """Force the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
