"""A token or password: from a file that nobody else reads or from the environment, and never in any text."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sedmd.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that must not be seen; `text` is the only way to it."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "***"

    def hide(self, told: str) -> str:
        """Any text without the secret in it."""
        return told.replace(self.text, "***") if self.text else told


def read_secret(
    what: str, *, file: Path | None, variable: str, environment: Mapping[str, str] = os.environ
) -> Secret | None:
    """The secret that the configuration points at; None if it points at none.

    Parameters
    ----------
    what : str
        How the setting is called in messages: "[upload] token".
    file, variable : Path or None, str
        The file comes first.

    Raises
    ------
    ConfigError
        The file cannot be read, others may read it, the variable is not set, or what is in it is no secret.
    """
    if file is not None:
        origin = str(file)
        try:
            mode, text = file.stat().st_mode, file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            msg = f"{what}_file {file}: cannot be read ({why}); expected one line, owned by this user"
            raise ConfigError(msg) from None
        if stat.S_IMODE(mode) & 0o077:
            msg = f"{what}_file {file}: others may read it (mode {stat.S_IMODE(mode):o}); chmod 600 {file}"
            raise ConfigError(msg)
    elif variable:
        origin, text = f"${variable}", environment.get(variable, "").strip()
    else:
        return None
    if not text:
        raise ConfigError(f"{what}: {origin} is empty or not set; expected the secret on one line")
    # the wrong file, or one with two lines; it would also break out of the line of the request that carries it
    if not re.fullmatch(r"[!-~]+( [!-~]+)*", text):
        raise ConfigError(f"{what}: {origin} holds more than one line of plain characters; expected only the secret")
    return Secret(text)
