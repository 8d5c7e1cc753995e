"""Rules on names of targets: ``exact:``, ``prefix:`` or ``regex:``, never a part of a word by accident."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sedmd.core.errors import ConfigError

KINDS = ("exact", "prefix", "regex")


def check_pattern(line: str) -> None:
    """Complain about a rule that cannot be used.

    Raises
    ------
    ConfigError
        Not ``exact:NAME``, ``prefix:NAME`` or ``regex:EXPRESSION``, or not a regular expression.
    """
    kind, colon, text = line.partition(":")
    if not colon or kind not in KINDS or not text:
        raise ConfigError(f"{line!r} is not a rule on names; expected exact:NAME, prefix:NAME or regex:EXPRESSION")
    if kind == "regex":
        try:
            re.compile(text)
        except re.error as error:
            raise ConfigError(f"{line!r} is not a regular expression ({error}); correct it, or use exact:") from None


def matches(line: str, name: str) -> bool:
    """A name is what a rule says; the whole name has to match, lower and upper case are the same.

    Raises
    ------
    ConfigError
        As `check_pattern`.
    """
    check_pattern(line)
    kind, _, text = line.partition(":")
    name = name.strip()
    if kind == "exact":
        return name.casefold() == text.casefold()
    if kind == "prefix":
        return name.casefold().startswith(text.casefold())
    return re.fullmatch(text, name, re.IGNORECASE) is not None


def first_match(lines: Iterable[str], name: str) -> str | None:
    """The first rule that a name matches."""
    return next((line for line in lines if matches(line, name)), None)
