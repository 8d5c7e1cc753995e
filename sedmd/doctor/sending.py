"""Checks of what is sent: the receiver of spectra and the mail server, as far as that goes without asking them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from sedmd.after.deliver.deliveries import OPEN, Deliveries
from sedmd.after.deliver.receivers import receiver
from sedmd.after.deliver.secret import MAIL_PASSWORD, UPLOAD_TOKEN
from sedmd.after.deliver.smtp import check
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError
from sedmd.doctor.environment import Environment
from sedmd.doctor.finding import Finding, error, ok, warning
from sedmd.doctor.unit import handed_on, installed

#: Placeholder of a secret that the unit hands on and this user may not read.
_UNSEEN = {"SEDMD_HANDED_ON": "unseen"}


def upload(settings: Settings, environment: Environment) -> list[Finding]:
    """The receiver of spectra can be used, and nothing waits for long."""
    given, place = settings, _handed_on("sedmd-upload.service", UPLOAD_TOKEN, environment)
    if place is not None:
        file, variable = _seen(place, environment)
        given = replace(settings, upload=replace(settings.upload, token_file=file, token_env=variable))
    try:
        backend = receiver(given, clock=environment.now, environment=os.environ | _UNSEEN)
    except ConfigError as failure:
        return [error("upload", str(failure), "correct it, then: sedmd upload --dry-run --config FILE")]
    if backend is None:
        return [ok("upload", "off: [upload] backend is not set")]
    directory = settings.upload.directory
    if settings.upload.backend == "drop" and directory is not None:
        if not directory.is_dir():
            return [error("upload", f"{directory} is not there", "mount it, or create it for the service's user")]
        if not environment.may(directory, os.W_OK | os.X_OK):
            return [
                error(
                    "upload", f"{directory} cannot be written by this user", "give the service's user write permission"
                )
            ]
    with Deliveries.open(settings.paths.state, clock=environment.now, read_only=True) as queue:
        nights = queue.open_nights(backend.name)
        count = sum(one.state in OPEN for night in nights for one in queue.of_night(backend.name, night))
    if count:
        found = f"{backend.name}: {count} spectra of {', '.join(nights)} are not sent yet"
        return [warning("upload", found, "sedmd upload --again --config FILE; report_ztf.txt says what is wrong")]
    return [ok("upload", f"{backend.name}, nothing is waiting")]


def mail(settings: Settings, environment: Environment) -> list[Finding]:
    """The mail of the final report can be addressed and authenticated."""
    given = settings.mail
    if not given.host:
        return [ok("mail", "off: [mail] host is not set")]
    if given.user and (place := _handed_on("sedmd-final-report.service", MAIL_PASSWORD, environment)) is not None:
        file, variable = _seen(place, environment)
        given = replace(given, password_file=file, password_env=variable)
    try:
        check(given, os.environ | _UNSEEN)
    except ConfigError as failure:
        return [error("mail", str(failure), "correct it, then: sedmd final-report --dry-run --config FILE")]
    return [ok("mail", f"{given.host}:{given.port}, {given.security}, to {', '.join(given.recipients)}")]


def _handed_on(name: str, credential: str, environment: Environment) -> Path | None:
    """The file with something in it that the installed unit hands on to the command; None if there is none."""
    unit = installed(environment.unit.with_name(name))
    place = handed_on(unit, credential) if unit is not None else None
    try:
        return place if place is not None and place.stat().st_size else None
    except OSError:
        return None


def _seen(place: Path, environment: Environment) -> tuple[Path | None, str]:
    """File and variable for a check of a secret: systemd reads it as root, who looks here may not."""
    return (place, "") if environment.may(place, os.R_OK) else (None, next(iter(_UNSEEN)))
