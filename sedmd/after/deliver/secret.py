"""A token or password: handed on by systemd, from a file that nobody else reads, or from the environment.

It is never in any text.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sedmd.core.errors import ConfigError

#: What the units hand on by LoadCredential=, by the setting that it replaces.
UPLOAD_TOKEN, MAIL_PASSWORD = "upload-token", "mail-password"
#: Where systemd puts it.
_HANDED_ON = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that must not be seen; `text` is the only way to it."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "***"

    def hide(self, text: str) -> str:
        """Any text without the secret in it."""
        return text.replace(self.text, "***") if self.text else text


def read_secret(
    what: str,
    *,
    file: Path | None,
    variable: str,
    credential: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Secret | None:
    """The secret that systemd hands on or the configuration points at; None if there is none.

    Parameters
    ----------
    what : str
        How the setting is called in messages: "[upload] token".
    file, variable : Path or None, str
        The file comes before the variable.
    credential : str
        Its name among what systemd hands on (``LoadCredential=``), which comes first. An empty one, which a unit hands
        on where the site has put none down, is none.

    Raises
    ------
    ConfigError
        The file cannot be read, others may read it, the variable is not set, or what is in it is no secret.
    """
    handed = _handed_on(what, credential, environment)
    if handed:
        origin, text = f"the credential {credential} of the unit", handed
    elif file is not None:
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


def _handed_on(what: str, credential: str, environment: Mapping[str, str]) -> str:
    # no look at its mode: systemd lets this user read by an access list, whose mask shows as the group's right
    folder = environment.get(_HANDED_ON, "")
    if not folder or not credential:
        return ""
    try:
        return (Path(folder) / credential).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        msg = f"{what}: the credential {credential} of the unit cannot be read ({why}); see LoadCredential= there"
        raise ConfigError(msg) from None
