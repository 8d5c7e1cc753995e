"""Which host works on a redux root: the kernel's locks tell of the processes of one machine only.

Two machines that share a redux root over the network have a ledger each, on a disk of their own, and would make and
retire each other's products. So who works there leaves his name beside the products, and takes it away when he ends;
after a crash it stays, and only its own host goes on by itself. Another one does so on an operator's word.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sedmd.core.errors import NotNow, SedmError
from sedmd.host.files import DiskFull, write_bytes_atomic
from sedmd.host.foreign_file import read_table
from sedmd.host.lock import holder
from sedmd.host.mounts import is_remote

NAME = "worked-on-by.json"


class OtherHost(NotNow):
    """Another host works on this redux root, or did when it died."""


class TakenOver(SedmError):
    """Another host took over the redux root that this process works on."""


class Claim:
    """The name that this process leaves below a redux root.

    Parameters
    ----------
    redux_root, state : Path
    host : str
    remote : bool
        The root is on a network file system.
    since : datetime
    """

    def __init__(self, redux_root: Path, state: Path, *, host: str, remote: bool, since: datetime) -> None:
        self._path = redux_root / ".sedmd" / NAME
        self._remote = remote
        self._host = host
        self._state = state
        #: Set while the name stands there; without room it does not.
        self.written = False
        self._table = {
            "host": host,
            "process": os.getpid(),
            "state": str(state),
            "remote": remote,
            "since": since.isoformat(timespec="seconds"),
            "token": secrets.token_hex(8),
        }

    def take(self, *, take_over: bool) -> None:
        """Leave the name; `take_over` is the operator's word that another host works there no more.

        Raises
        ------
        OtherHost
            If another host's name stands there, or another ledger of this host is in use.
        """
        other = self._found()
        if other is not None and not take_over:
            self._refuse(other)
        self._write()
        if (now := self._found()) is not None and now != self._table:  # two began in the same moment
            self._refuse(now)

    def see(self) -> None:
        """Look whether the name still stands there; leave it again where there is none.

        Raises
        ------
        TakenOver
            If another process took over.
        """
        found = self._found()
        if found is None:
            self._write()
        elif found != self._table:
            self.written = False
            msg = f"{_named(found)} took over the redux root {self._path.parent.parent}: this one stops"
            raise TakenOver(msg)

    def leave(self) -> None:
        """Take the name away, if it is still ours."""
        if self.written and self._found() == self._table:
            with suppress(OSError):
                self._path.unlink()

    def _refuse(self, other: Mapping[str, Any]) -> None:
        root = self._path.parent.parent
        if other.get("host") != self._host and (self._remote or other.get("remote")):
            msg = (
                f"{_named(other)} works on the redux root {root}, or did when it died; two hosts would undo each "
                "other's work. Stop it there; if it is gone for good, here: sedmd run --take-over"
            )
            raise OtherHost(msg)
        # the same machine, perhaps by another name: its kernel knows
        state = Path(str(other.get("state", "")))
        if state != self._state and (process := holder(state)) is not None:
            who = f"process {process}" if process > 0 else "another process"
            raise OtherHost(f"{who} works on the redux root {root} with the ledger in {state}; stop it first")

    def _found(self) -> dict[str, Any] | None:
        """What stands there; None for nothing, or nothing that can be read."""
        try:
            return read_table(self._path)
        except (OSError, SedmError):
            return None

    def _write(self) -> None:
        if not self._path.parent.parent.is_dir():
            return  # a root that is not mounted must not be created
        # a full disk or a missing right costs the name, and whoever works says so at the first product
        with suppress(OSError, DiskFull):
            write_bytes_atomic(json.dumps(self._table).encode() + b"\n", self._path)
            self.written = True


@contextmanager
def claimed(
    redux_root: Path, state: Path, *, now: datetime, take_over: bool = False, host: str = "", remote: bool | None = None
) -> Iterator[Claim]:
    """Leave the name of this host below a redux root for the length of a block; see `Claim.take`.

    Parameters
    ----------
    host : str
        By default the name of this one.
    remote : bool or None
        By default what the table of mounts says.
    """
    if remote is None:
        remote = is_remote(redux_root)
    claim = Claim(redux_root, state, host=host or socket.gethostname(), remote=remote, since=now)
    claim.take(take_over=take_over)
    try:
        yield claim
    finally:
        claim.leave()


def _named(table: Mapping[str, Any]) -> str:
    return f"host {table.get('host', '?')} (process {table.get('process', '?')}, since {table.get('since', '?')})"
