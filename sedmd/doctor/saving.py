"""Check of who may save into the nights: the group of [paths] group, and the user of the window."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.nights import is_night
from sedmd.doctor.environment import Environment
from sedmd.doctor.finding import Finding, error, ok, warning
from sedmd.host.sharing import how_to_save, is_shared, name_of_user, who_may_save


def saving(settings: Settings, environment: Environment) -> list[Finding]:
    """The group of the observers may save into the nights, and so may the user who looks here."""
    root, group = settings.paths.redux_root, settings.paths.group
    nights = sorted(path for path in root.iterdir() if is_night(path.name)) if root.is_dir() else []
    newest = nights[-1] if nights else None
    if not group:
        return [_user(newest, environment)] if newest is not None else [ok("saving", "no night yet")]
    number = environment.group(group)
    if number is None:
        found = f"[paths] group: there is no group {group}"
        return [error("saving", found, f"as root: groupadd -r {group}, or name an existing group")]
    if not root.is_dir():
        return [ok("saving", f"{root} is made at the start")]
    findings = []
    status = root.stat()
    if status.st_gid != number or not status.st_mode & stat.S_ISGID:
        found = f"{root} does not pass on group {group} ({who_may_save(root)}): observers cannot save into new nights"
        findings.append(error("saving", found, f"as root: chgrp {group} {root}; chmod g+s {root}"))
    for path in nights[-settings.watch.nights_back :]:
        if path.stat().st_gid == number and is_shared(path):
            continue
        found = f"group {group} cannot save into {path} ({who_may_save(path)})"
        advice = f"as root: chgrp -R {group} {path}; find {path} -type d -exec chmod g+rwxs {{}} +"
        findings.append(error("saving", found, advice))
    if not findings and environment.user_id() != 0 and number not in environment.groups():
        user = name_of_user(environment.user_id())
        advice = f"as root: usermod -aG {group} {user}; then log in again"
        findings.append(warning("saving", f"{user} is not in group {group} and cannot save in sedmview", advice))
    return findings or [ok("saving", f"group {group} saves into the nights of {root}")]


def _user(newest: Path, environment: Environment) -> Finding:
    if environment.may(newest, os.W_OK | os.X_OK):
        return ok("saving", f"this user saves into {newest}")
    user = name_of_user(environment.user_id())
    found = f"{user} cannot save into {newest} ({who_may_save(newest)}) with sedmview"
    return warning("saving", found, how_to_save(newest))
