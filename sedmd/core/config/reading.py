"""Settings from a TOML file: what is unknown, of the wrong type or out of range is refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sedmd.core.config.sections import SECTIONS, Paths, Settings
from sedmd.core.config.setting import Setting, declared
from sedmd.core.errors import ConfigError


def load(path: Path) -> Settings:
    """Read and check a configuration file.

    Relative paths are relative to the file's directory.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, has an unknown key, or a value of the wrong type or range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); expected a TOML file with [paths] raw_root and redux_root"
        raise ConfigError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not valid TOML: {error}. Mend the line and run: sedmd config check --config {path}"
        raise ConfigError(msg) from None
    return from_table(table, origin=str(path), base=path.absolute().parent)


def from_table(table: Mapping[str, Any], *, origin: str, base: Path) -> Settings:
    """Settings from a parsed TOML table; `origin` names it in messages, `base` resolves relative paths.

    Raises
    ------
    ConfigError
        As `load`.
    """
    _refuse_unknown(table, SECTIONS, origin, "section")
    origins: dict[str, str] = {}
    parts: dict[str, Any] = {}
    for section, cls in SECTIONS.items():
        given = table.get(section, {})
        if not isinstance(given, Mapping):
            msg = f"{origin}: [{section}] must be a table of settings, got {given!r}"
            raise ConfigError(msg)
        fields = {entry.name: entry for entry in dataclasses.fields(cls)}
        _refuse_unknown(given, fields, origin, "key", section)
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for key, entry in fields.items():
            name = f"{section}.{key}"
            if key in given:
                values[key] = _checked(given[key], hints[key], declared(entry), name, origin, base)
                origins[name] = origin
            elif entry.default is dataclasses.MISSING:
                msg = f"{origin}: [{section}] {key} is missing; expected at least [paths] with raw_root and redux_root"
                raise ConfigError(msg)
            else:
                origins[name] = "default"
        parts[section] = cls(**values)
    settings = Settings(**parts, origins=origins)
    _refuse_contradictions(settings, origin)
    return settings


def _refuse_contradictions(settings: Settings, origin: str) -> None:
    """Settings that are legal one by one and not together."""
    if settings.jobs.engine == "dask" and not settings.jobs.dask_scheduler:
        msg = (
            f'{origin}: [jobs] engine is "dask" but dask_scheduler is empty; expected an address like "tcp://host:8786"'
        )
        raise ConfigError(msg)
    paths: Paths = settings.paths
    if paths.raw_root == paths.redux_root or paths.raw_root in paths.redux_root.parents:
        msg = f"{origin}: redux_root {paths.redux_root} lies in raw_root; raw data stay untouched: choose another place"
        raise ConfigError(msg)


def _refuse_unknown(
    given: Mapping[str, Any], known: Mapping[str, Any], origin: str, what: str, section: str = ""
) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            where = f"[{section}] has no {what}" if section else f"there is no {what}"
            msg = f"{origin}: {where} {key!r}; {hint}"
            raise ConfigError(msg)


def _checked(value: Any, hint: Any, told: Setting, name: str, origin: str, base: Path) -> Any:
    """A value as its type and declaration ask for it."""
    kind = _plain(hint)
    if kind is Path and isinstance(value, str) and value:
        path = Path(value).expanduser()
        return Path(os.path.normpath(path if path.is_absolute() else base / path))
    if kind is str and isinstance(value, str):
        if told.check is not None:
            try:
                told.check(value)
            except ConfigError as error:
                section, _, key = name.partition(".")
                raise ConfigError(f"{origin}: [{section}] {key} {error}") from None
        if told.choices and value not in told.choices:
            _refuse(name, origin, value, f"one of {', '.join(told.choices)}")
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return _in_range(value, told, name, origin)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _in_range(float(value), told, name, origin)
    if typing.get_origin(kind) is tuple:
        if told.word and value in (told.word, [told.word]):
            return (told.word,)
        if isinstance(value, list):
            item = typing.get_args(kind)[0]
            return tuple(_checked(one, item, told, name, origin, base) for one in value)
    words = {Path: "a path in quotes", str: "text in quotes", int: "a whole number", float: "a number"}
    listed = "a list of texts in quotes" if typing.get_args(kind)[:1] == (str,) else "a list of numbers"
    return _refuse(name, origin, value, words.get(kind, listed))


def _in_range(value: float, told: Setting, name: str, origin: str) -> float:
    if not told.allows(value):
        _refuse(name, origin, value, f"an hour, {told.range}" if told.unit == "h UT" else told.range)
    return value


def _refuse(name: str, origin: str, value: Any, expected: str) -> typing.NoReturn:
    section, _, key = name.partition(".")
    msg = f"{origin}: [{section}] {key} is {value!r}; expected {expected}"
    raise ConfigError(msg)


def _plain(hint: Any) -> Any:
    """The type without ``| None``, and of a number that may be a word the number."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint
