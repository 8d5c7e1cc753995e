"""Rows of the ledger as plain values, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from sedmd.data.standards import lookup
from sedmd.host.foreign_file import plain
from sedmd.raw.frames import Frame, Kind

#: No name that an operator gives is longer, characters.
LONGEST_NAME = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRow:
    """A raw file as the ledger knows it.

    Attributes
    ----------
    state : str
        "good" (`frame` is set), "quarantined", "deferred" (it stopped growing before it was whole) or "forgotten" (an
        operator took it out).
    """

    path: Path
    night: str
    state: str
    reason: str
    size: int
    mtime_ns: int
    arrived: datetime
    rules: str = ""
    frame: Frame | None = None

    def describe(self) -> str:
        """One sentence for the story of the frame."""
        if self.frame is None:
            return f"{self.state}: {self.reason}"
        frame = self.frame
        what = f"ignored: {frame.reason}" if frame.kind is Kind.IGNORED else f"{frame.kind}, {frame.object!r}"
        return f"found whole: {what}" + (f" ({'; '.join(frame.notes)})" if frame.notes else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """By which a file is recognised as read already: size in bytes, mtime in ns, rules of reading; and its state."""

    size: int
    mtime_ns: int
    rules: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job that was started at least once.

    Attributes
    ----------
    inputs : tuple of (role, checksum)
        What its key was made of.
    """

    key: str
    night: str
    step: str
    label: str
    state: str
    reason: str
    detail: str
    tries: int
    seconds: float | None
    ended: str | None
    figures: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A decision that stays: kind "hold", "forget", "accept", "ended" ...; a night, a subject, and a sentence."""

    kind: str
    night: str
    subject: str
    text: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an operator asked for on the command line, to be carried out by whoever holds the lock.

    `cards` tells for "mend" what is to be corrected, as JSON.
    """

    number: int
    time: str
    verb: str
    night: str
    subject: str
    who: str
    cards: str = ""


def frame_to_json(frame: Frame) -> str:
    """A frame as JSON text."""
    body = asdict(frame)
    body["path"] = str(frame.path)
    body["start"] = frame.start.isoformat()
    return json.dumps(body)


def frame_from_json(text: str) -> Frame:
    """The frame of `frame_to_json`; fields of another version are omitted."""
    body = json.loads(text)
    known = {entry.name for entry in fields(Frame)}
    body = {name: value for name, value in body.items() if name in known}
    body |= {
        "path": Path(body["path"]),
        "kind": Kind(body["kind"]),
        "start": datetime.fromisoformat(body["start"]),
        "notes": tuple(body["notes"]),
        "mends": tuple((card, value) for card, value in body.get("mends", ())),
    }
    if "star" not in body and body["kind"] is Kind.STANDARD:  # of a version that asked the name only
        body["star"] = lookup(body["name"]) or ""
    return Frame(**body)


def job_row(row: Mapping[str, Any]) -> JobRow:
    """A row of the table ``job``."""
    return JobRow(
        **{name: row[name] for name in ("key", "night", "step", "label", "state", "reason", "detail", "tries")},
        seconds=row["seconds"],
        ended=row["ended"],
        figures=json.loads(row["figures"]),
        warnings=tuple(json.loads(row["warnings"])),
        inputs=tuple((role, checksum) for role, checksum in json.loads(row["inputs"])),
    )


def frame_row(row: Mapping[str, Any], *, forgotten: bool = False) -> FrameRow:
    """A row of the table ``frame``; what an operator excluded has no `frame`, unless `forgotten` asks for it."""
    usable = row["body"] and (row["state"] == "good" or (forgotten and row["state"] == "forgotten"))
    return FrameRow(
        path=Path(row["path"]),
        night=row["night"],
        state=row["state"],
        reason=row["reason"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        arrived=datetime.fromisoformat(row["arrived"]),
        rules=row["rules"],
        frame=frame_from_json(row["body"]) if usable else None,
    )


def request_row(row: Mapping[str, Any], *, now: str) -> Request:
    """A row of the table ``request``, its values as bytes; `now` stands for a time that is none."""
    given = {
        name: (row[name] or b"").decode("utf-8", "replace")
        for name in ("time", "verb", "night", "subject", "who", "cards")
    }
    # corrections are read as JSON, which says what is wrong with them
    short = {name: plain(given[name][:LONGEST_NAME]) for name in ("verb", "night", "subject", "who")}
    return Request(number=row["id"], time=_time_or(given["time"], now), cards=given["cards"], **short)


def _time_or(text: str, now: str) -> str:
    """The time, if it is one that has passed: of several corrections the last one counts."""
    try:
        given = datetime.fromisoformat(text)
        return text if given.tzinfo is not None and given <= datetime.fromisoformat(now) else now
    except ValueError:
        return now


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the ledger knows of a job that was started: running, done, retry, failed, quarantined, awaiting observer."""

    state: str
    reason: str = ""
    tries: int = 0
    not_before: datetime | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
