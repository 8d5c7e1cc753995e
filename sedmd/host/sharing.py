"""Nights into which a group saves: observers with accounts of their own, beside the service's user.

Such a directory belongs to the group, hands that on to what is made in it (setgid), and the group may write there. What
is made in one is opened to the group for any umask of its maker: a spectrum that only its observer may read
would be lost for the service.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

#: The group may write, and hands itself on.
_SHARED = stat.S_ISGID | stat.S_IWGRP


def is_shared(folder: Path) -> bool:
    """A group saves into this directory."""
    return folder.stat().st_mode & _SHARED == _SHARED


def make_folder(folder: Path) -> None:
    """Make a directory and those above it that are missing, each as open to the group as the one that it lies in."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    open_to_group(folder)


def open_to_group(path: Path) -> None:
    """Let the group read and write what was made in a directory into which it saves; elsewhere nothing changes."""
    if not is_shared(path.parent):
        return
    mode = path.stat().st_mode
    wanted = mode | (stat.S_IRWXG if stat.S_ISDIR(mode) else stat.S_IRGRP | stat.S_IWGRP)
    if wanted != mode:
        # under the unit no right with setgid in it can be set; there the umask has given it already
        with suppress(PermissionError):
            path.chmod(stat.S_IMODE(wanted))


def let_group_write() -> None:
    """From now on this process takes no rights from the group of what it makes; its directories hand the group on."""
    before = os.umask(0o077)
    os.umask(before & ~stat.S_IRWXG)


def who_may_save(folder: Path) -> str:
    """Whose a directory is, in words: "sedm, group sedm, rwxr-xr-x"."""
    status = folder.stat()
    group = name_of_group(status.st_gid)
    return f"{name_of_user(status.st_uid)}, group {group}, {stat.filemode(status.st_mode)[1:]}"


def not_ours(path: Path) -> str:
    """Whose a file or directory is that this user may not write, and what to do; empty if permissions are not the
    cause.

    Parameters
    ----------
    path : Path
        What was to be written; the directories above it are checked too.
    """
    for place in (path, path.parent, path.parent.parent):
        try:
            status = place.stat()
        except OSError:
            continue
        if not os.access(place, os.W_OK):
            user = name_of_user(os.geteuid())
            if status.st_uid == os.geteuid():
                return f"{place} may not be written ({stat.filemode(status.st_mode)}); as {user}: chmod u+w {place}"
            owner = name_of_user(status.st_uid)
            return f"{place} belongs to {owner}, and {user} may not write there; as root: chown -R {user} {place}"
    return ""


def name_of_user(number: int) -> str:
    """Name of a user, or his number."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def name_of_group(number: int) -> str:
    """Name of a group, or its number."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def how_to_save(folder: Path) -> str:
    """What lets this user save into a night's directory, as the directory is now; one line for who may do it."""
    status, user = folder.stat(), name_of_user(os.geteuid())
    if status.st_mode & _SHARED != _SHARED:
        return "set [paths] group in the service's configuration; sedmd doctor --config FILE says the rest"
    group = name_of_group(status.st_gid)
    return f"as root: usermod -aG {group} {user}; then log in again"
