"""Which kind of file system holds a directory, and how much room it has."""

from __future__ import annotations

import os
from pathlib import Path

#: File systems on which changes made by another host raise no event here, and attributes are cached.
REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "lustre", "gpfs", "afs", "vboxsf", "virtiofs")


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Type of the file system that holds `folder` ("ext4", "nfs4", ...), from /proc/self/mounts; empty if unknown.

    Parameters
    ----------
    mounts : str or None
        The content of the mount table; None reads it.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
    best, kind = -1, ""
    place = folder.resolve()
    for line in mounts.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        point = Path(parts[1].encode().decode("unicode_escape"))
        # of mounts on the same point the last one hides the others
        if (point == place or point in place.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), parts[2]
    return kind


def is_remote(folder: Path) -> bool:
    """True on a network file system."""
    return file_system(folder).startswith(REMOTE)


def free_bytes(folder: Path) -> int | None:
    """Bytes that an ordinary user may still write below `folder` (or the nearest directory above that exists)."""
    for place in (folder, *folder.parents):
        try:
            status = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return status.f_bavail * status.f_frsize
    return None
