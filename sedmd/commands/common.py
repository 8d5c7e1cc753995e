"""What several commands share: settings from options, kinds of arguments, the time, an error while writing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sedmd.core.config import Settings, from_table, load
from sedmd.core.errors import NotWritten
from sedmd.core.nights import is_night
from sedmd.host.sharing import not_ours

#: Adds a command to the program: its name and its function; returns the parser that gets its options.
Add = Callable[..., argparse.ArgumentParser]
#: The default place of the ledger below a redux root.
STATE = ".sedmd"


def utc_now() -> datetime:
    """The wall clock; the one place where the program reads it."""
    return datetime.now(UTC)


def settings_of(options: argparse.Namespace) -> Settings:
    """The service's settings, or the default ones for a redux root."""
    if options.config is not None:
        return load(options.config)
    left = options.redux / STATE / "settings.toml"
    if left.exists():  # the service's own settings: another configuration would give other keys
        return load(left)
    table = {"paths": {"raw_root": os.devnull, "redux_root": str(options.redux)}}
    return from_table(table, origin="command line", base=Path.cwd())


def add_where(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Options that give a command its redux root."""
    group = command.add_mutually_exclusive_group(required=required)
    group.add_argument("--config", type=Path, help="the service's configuration")
    group.add_argument("--redux", metavar="DIR", type=Path, help="or just the redux root")


def night_argument(text: str) -> str:
    """An argument that is a night."""
    if not is_night(text):
        msg = f"{text!r} is not a night; expected YYYYMMDD"
        raise argparse.ArgumentTypeError(msg)
    return text


def positive_argument(text: str) -> int:
    """An argument that counts processes."""
    if not text.isdigit() or int(text) < 1:
        msg = f"{text!r} is not a number of processes; expected 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Say in a sentence why something could not be written.

    Raises
    ------
    NotWritten
        Instead of an `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        foreign = not_ours(Path(error.filename)) if isinstance(error.filename, str) else ""
        why = foreign or f"{error}. See to rights and room"
        raise NotWritten(f"{what} was not written: {why}; then give the command again") from error
