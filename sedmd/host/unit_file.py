"""Unit files of systemd, as far as an installation can be checked by them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

Unit = Mapping[str, Mapping[str, tuple[str, ...]]]


def parse_unit(text: str) -> Unit:
    """Sections of a unit file: section -> key -> values.

    A key that is given again adds a value, an empty one forgets those before; lines that end in a backslash go on.
    Drop-ins are read by appending their text.
    """
    sections: dict[str, dict[str, tuple[str, ...]]] = {}
    section = sections.setdefault("", {})
    for line in _whole_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            continue
        section[key] = (*section.get(key, ()), value) if value else ()
    return {name: keys for name, keys in sections.items() if name or keys}


def last(unit: Unit, section: str, key: str, default: str = "") -> str:
    """The value in force of a key that takes one."""
    values = unit.get(section, {}).get(key, ())
    return values[-1] if values else default


def paths(unit: Unit, section: str, key: str) -> tuple[PurePosixPath, ...]:
    """All paths of a list, without the signs in front that change how a missing one is taken."""
    found = []
    for value in unit.get(section, {}).get(key, ()):
        found += [PurePosixPath(word.lstrip("-+")) for word in words_of(value)]
    return tuple(found)


def words_of(value: str) -> list[str]:
    """The words of a value, with quotes or without; where a quote is not closed, those between blanks."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def yes(unit: Unit, section: str, key: str) -> bool:
    """A truth value of systemd."""
    return last(unit, section, key).lower() in ("1", "yes", "y", "true", "t", "on")


def covers(roots: Iterable[PurePosixPath], place: PurePosixPath) -> bool:
    """`place` is one of the roots or lies in one."""
    return any(place == root or root in place.parents for root in roots)


def _whole_lines(text: str) -> Iterable[str]:
    whole = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue  # a comment within a continued line is skipped, as systemd does
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        whole += line
        if whole.strip():
            yield whole.strip()
        whole = ""
    if whole.strip():
        yield whole.strip()
