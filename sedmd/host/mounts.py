"""The table of mounts: on which file system a folder lies, and how much room that has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: File systems on which changes made by another host raise no event here, and locks may not be what they seem.
REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "lustre", "gpfs", "afs", "vboxsf", "virtiofs")
#: File systems that are gone after the next start of the machine.
VOLATILE = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the table: where, of which type ("ext4", "nfs4", ...), from what."""

    point: Path
    kind: str
    source: str

    @property
    def remote(self) -> bool:
        return self.kind.startswith(REMOTE)


def read_mounts() -> str:
    """The kernel's table as this process sees it; empty where there is none."""
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def parse_mounts(text: str) -> Iterator[Mount]:
    """The lines of ``/proc/self/mounts`` or ``/etc/fstab``, without comments and what is mounted nowhere."""
    for line in text.splitlines():
        parts = line.split("#")[0].split()
        if len(parts) >= 3 and parts[1].startswith("/"):
            yield Mount(point=Path(_plain(parts[1])), kind=parts[2], source=_plain(parts[0]))


def mount_of(folder: Path, mounts: str | None = None) -> Mount | None:
    """The mount that holds `folder`, or None if the table does not tell.

    Parameters
    ----------
    mounts : str or None
        The content of the mount table; None reads it.
    """
    best = None
    place = folder.resolve()
    for mount in parse_mounts(read_mounts() if mounts is None else mounts):
        # of mounts on the same point the last one hides the others
        inside = mount.point == place or mount.point in place.parents
        if inside and (best is None or len(mount.point.parts) >= len(best.point.parts)):
            best = mount
    return best


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Type of the file system that holds `folder` ("ext4", "nfs4", ...); empty if unknown."""
    mount = mount_of(folder, mounts)
    return mount.kind if mount is not None else ""


def is_remote(folder: Path) -> bool:
    """True on a network file system."""
    mount = mount_of(folder)
    return mount is not None and mount.remote


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


def _plain(text: str) -> str:
    """Blanks and the like are written as octal numbers in the table."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
