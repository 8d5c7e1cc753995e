"""The receiver that the configuration names."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import datetime

from sedmd.after.deliver.backend import Backend
from sedmd.after.deliver.drop import Drop
from sedmd.after.deliver.http import is_loopback
from sedmd.after.deliver.secret import UPLOAD_TOKEN, read_secret
from sedmd.after.deliver.skyportal import SkyPortal
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError


def receiver(
    settings: Settings, *, clock: Callable[[], datetime], environment: Mapping[str, str] = os.environ
) -> Backend | None:
    """The receiver, checked as far as that goes without asking it; None if there is none.

    Raises
    ------
    ConfigError
        A setting is missing or cannot be right.
    """
    given = settings.upload
    if not given.backend:
        return None
    if given.backend == "drop":
        if given.directory is None:
            raise ConfigError('[upload] backend is "drop" but directory is missing; expected a directory that exists')
        return Drop(directory=given.directory)
    url = given.url.rstrip("/")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        shown = "" if "@" in given.url else f" is {given.url!r}"
        raise ConfigError(f'[upload] url{shown} cannot be used; expected an address like "https://fritz.science"')
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"[upload] url {url}: the token would travel in clear text; expected https")
    if not given.instrument_id:
        raise ConfigError("[upload] instrument_id is missing; expected the instrument's number on the server")
    token = read_secret(
        "[upload] token",
        file=given.token_file,
        variable=given.token_env,
        credential=UPLOAD_TOKEN,
        environment=environment,
    )
    if token is None:
        raise ConfigError("[upload] token_file or token_env is missing; expected where SkyPortal's token is")
    return SkyPortal(
        url=url,
        token=token,
        instrument_id=given.instrument_id,
        group_ids=given.group_ids,
        observed_by=given.observed_by,
        reduced_by=given.reduced_by,
        request_from=given.request_from,
        timeout_s=given.timeout_s,
        clock=clock,
    )
