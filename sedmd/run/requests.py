"""Requests of operators: redo, retry, forget, mend, hold, release, accept, scan.

A request is a row that any process may leave in the ledger; whoever holds the lock carries it out here. Without a
service the command takes the lock itself and does so at once.
"""

from __future__ import annotations

import pwd
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sedmd.core.errors import SedmError
from sedmd.core.nights import is_night, neighbour
from sedmd.host.foreign_file import MAX_TEXT, plain, table_in
from sedmd.ledger.ledger import FrameRow, Ledger, LedgerError, Request
from sedmd.ledger.marks import MEND
from sedmd.plan.plan import Node
from sedmd.raw.mends import RANGE, BadMend, Mend, checked_card, scope_of
from sedmd.raw.rawname import stem_of
from sedmd.run.context import ACCEPTED, AWAKE, HOLD, REFUSED
from sedmd.run.dispatch import Dispatcher
from sedmd.run.ingest import night_by_name

#: States of jobs that `retry` starts again.
STUCK = ("failed", "quarantined", "retry")
#: Nights that are searched for a name, newest first, when none is given.
NIGHTS_SEARCHED = 30
#: An answer is one line, characters.
LONGEST_ANSWER = 1000


class Eyes(Protocol):
    """The part of the service that looks at raw files."""

    def wake_night(self, night: str) -> bool: ...

    def forget_known(self, path: Path) -> None: ...

    def exclude(self, path: Path) -> None: ...


def who_asked(claimed: str, user: int | None) -> str:
    """Who asked: the name that the request tells, or the one that the kernel knows of who rang for it.

    Parameters
    ----------
    claimed : str
        Written by who left the request; any process that may write the ledger writes what it likes.
    user : int or None
        User number of the process that rang; None when none did.
    """
    if user is None or user < 0:
        return f"{claimed}, by name only"
    try:
        name = pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):
        name = f"user {user}"
    return name if name == claimed else f"{name}, as {claimed}"


def carry_out(request: Request, ledger: Ledger, dispatcher: Dispatcher, eyes: Eyes | None = None) -> str:
    """Do what was asked; the answer for the operator, one line. A fault of a request costs that request only.

    Parameters
    ----------
    eyes : Eyes or None
        Knows which files to read again or never again; None when nobody watches.

    Raises
    ------
    LedgerError
        The answer could not be kept either.
    """
    try:
        answer = _carry_out(request, ledger, dispatcher, eyes)
    except LedgerError:
        raise
    except SedmError as error:
        answer = f"refused: {' '.join(str(error).split())}"
    except Exception as error:
        answer = f"refused: {type(error).__name__}: {error}; an internal error, please report it"
    return plain(answer)[:LONGEST_ANSWER]


def _carry_out(request: Request, ledger: Ledger, dispatcher: Dispatcher, eyes: Eyes | None) -> str:
    do = VERBS.get(request.verb)
    if do is None:
        return f"refused: unknown request {request.verb!r}"
    for given in (request.night, request.subject if request.verb in ("accept", "scan") else ""):
        if given and not is_night(given):
            return f"refused: {given!r} is not a night; expected YYYYMMDD"
    subject = stem_of(request.subject) if request.subject.startswith("ifu") else request.subject
    if request.verb == "mend":
        subject = scope_of(request.subject)
        night = _night_by_name(subject, ledger)
    else:
        night = request.night or _night_of(subject, ledger, dispatcher)
    if not night:
        where = f"the newest {NIGHTS_SEARCHED} nights"
        return f"refused: nothing is named {request.subject!r} in {where}; see sedmd status"
    asked = _Asked(
        night=night,
        subject=subject,
        who=request.who,
        time=request.time,
        cards=request.cards,
        ledger=ledger,
        dispatcher=dispatcher,
        eyes=eyes,
    )
    if not wake(night, ledger, dispatcher, eyes) and request.verb == "scan":
        return f"refused: there are no raw directories of night {night}"
    return do(asked)


def wake(night: str, ledger: Ledger, dispatcher: Dispatcher, eyes: Eyes | None) -> bool:
    """Have a night scanned until it ends, an old one too; False if it has no raw directories."""
    if eyes is not None:
        return eyes.wake_night(night)
    root = dispatcher.settings.paths.raw_root
    there = any((root / name).is_dir() for name in (night, neighbour(night, -1)))
    if there:
        ledger.marks.put(AWAKE, night, "", "asked for")
    return there


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request with everything it needs."""

    night: str
    subject: str
    who: str
    time: str
    cards: str
    ledger: Ledger
    dispatcher: Dispatcher
    eyes: Eyes | None

    def jobs(self, *, downstream: bool = False) -> list[Node]:
        return self.dispatcher.look(self.night).concerning(self.subject, downstream=downstream)

    def files(self) -> list[FrameRow]:
        return self.ledger.frames.named(self.night, self.subject)

    def unknown(self) -> str:
        where = f"night {self.night}"
        return f"refused: nothing is named {self.subject!r} in {where}; see sedmd status --night {self.night}"


def _redo(asked: _Asked) -> str:
    """Jobs and all that rests on them are done again, with the best calibrations that there are."""
    nodes = asked.jobs(downstream=True)
    if not nodes:
        return asked.unknown()
    count = asked.ledger.jobs.forget(asked.night, [node.key for node in nodes], f"redo asked by {asked.who}")
    return f"{count} of {len(nodes)} jobs will be redone"


def _retry(asked: _Asked) -> str:
    """What failed or was quarantined is tried again; files are read again."""
    files = [row for row in asked.files() if row.state != "good"]
    if asked.subject == asked.night:
        files = [row for row in asked.ledger.frames.of_night(asked.night) if row.state in ("quarantined", "deferred")]
    for row in files:
        asked.ledger.frames.drop(row, f"read again, asked by {asked.who}")
        if asked.eyes is not None:
            asked.eyes.forget_known(row.path)
    keys = [node.key for node in asked.jobs()]
    jobs = asked.ledger.jobs.forget(asked.night, keys, f"retry asked by {asked.who}", states=STUCK)
    if not files and not keys:
        return asked.unknown()
    return f"{jobs} jobs will be retried, {len(files)} files will be reread"


def _forget(asked: _Asked) -> str:
    """A raw file is excluded, as if it had never come."""
    files = [row for row in asked.files() if row.state != "forgotten"]
    if not files:
        return asked.unknown()
    for row in files:
        asked.ledger.frames.set_state(row, "forgotten", f"excluded by {asked.who}")
        if asked.eyes is not None:
            asked.eyes.exclude(row.path)
    return f"{len(files)} files are excluded; to include them again: sedmd retry {asked.subject}"


def _hold(asked: _Asked) -> str:
    """Jobs are not begun until they are released."""
    nodes = asked.jobs()
    if not nodes:
        return asked.unknown()
    since = asked.time[:16].replace("T", " ")
    asked.ledger.marks.put(HOLD, asked.night, asked.subject, f"held by {asked.who} since {since} UT")
    return f"{len(nodes)} jobs are held; running jobs continue"


def _release(asked: _Asked) -> str:
    """Held jobs may begin."""
    if not asked.ledger.marks.remove(HOLD, asked.night, asked.subject):
        held = ", ".join(mark.subject for mark in asked.ledger.marks.of_night(asked.night, HOLD)) or "nothing"
        return f"refused: {asked.subject} is not held; held in {asked.night}: {held}"
    return f"{asked.subject} is released"


def _accept(asked: _Asked) -> str:
    """The night's geometry change is accepted: the instrument was changed."""
    if not asked.ledger.frames.of_night(asked.night):
        return f"refused: there are no frames of night {asked.night}"
    asked.ledger.marks.put(ACCEPTED, asked.night, "calibrations", f"accepted by {asked.who}")
    asked.ledger.marks.remove(REFUSED, asked.night, "calibrations")
    return f"the geometry change of {asked.night} is accepted; its calibrations are used"


def _scan(asked: _Asked) -> str:
    """An old night is scanned."""
    return f"night {asked.night} will be scanned"


def _mend(asked: _Asked) -> str:
    """Cards are corrected, or corrections taken back; the frames are read again."""
    given = _corrections(asked.cards)
    files = _files_of(asked)
    if not files and asked.subject != asked.night and "undo" not in given:
        return asked.unknown()
    if "undo" in given:
        mine = [mend for mend in asked.ledger.marks.mends(asked.night) if mend.scope == asked.subject]
        gone = [mend for mend in mine if not given["undo"] or mend.card in given["undo"]]
        if not gone:
            return f"refused: no such correction of {asked.subject}; see sedmd mend --list {asked.night}"
        for mend in gone:
            asked.ledger.marks.remove(MEND, asked.night, mend.subject)
        what = f"correction removed: {', '.join(mend.describe() for mend in gone)}"
    else:
        made = [
            Mend(scope=asked.subject, card=card, value=value, who=asked.who, time=asked.time)
            for card, value in given["cards"].items()
        ]
        for mend in made:
            asked.ledger.marks.put_mend(asked.night, mend)
        what = f"corrected: {', '.join(mend.describe() for mend in made)}"
    for path in files:
        asked.ledger.events.note(asked.night, stem_of(path), f"{what} (asked by {asked.who})")
        if asked.eyes is not None:
            asked.eyes.forget_known(path)
    return f"{what}; {len(files)} files will be reread"


def _corrections(cards: str) -> Mapping[str, Any]:
    """Content of a request of ``sedmd mend``: "cards", corrections by name, or "undo", names of cards (none: all)."""
    if len(cards) > MAX_TEXT:
        raise BadMend(f"the request has {len(cards)} characters; expected the corrections of a few cards")
    try:
        given = table_in(cards)
    except ValueError as error:
        raise BadMend(f"the request has no corrections ({error}); expected a request by sedmd mend") from None
    corrected, undone = given.get("cards"), given.get("undo")
    if isinstance(corrected, dict) and corrected and len(given) == 1:
        return {"cards": dict(checked_card(card, value) for card, value in corrected.items())}
    if isinstance(undone, list) and all(isinstance(card, str) for card in undone) and len(given) == 1:
        return given
    raise BadMend("the request has no corrections; expected cards and their values, or those to undo")


def _files_of(asked: _Asked) -> list[Path]:
    """Files that a correction is about: by their names, not by the night in their headers."""
    night, root = asked.night, asked.dispatcher.settings.paths.raw_root
    states: dict[Path, str] = {}
    for other in (neighbour(night, -1), night):
        states |= {row.path: row.state for row in asked.ledger.frames.of_night(other)}
        states |= {path: known.state for path, known in asked.ledger.frames.known_files(root / other).items()}
    scope = Mend(scope=asked.subject, card="", value=None)
    wanted = sorted(path for path, state in states.items() if state != "forgotten")
    return [path for path in wanted if night_by_name(path) == night and scope.covers(stem_of(path))]


VERBS: dict[str, Callable[[_Asked], str]] = {
    "redo": _redo,
    "retry": _retry,
    "forget": _forget,
    "hold": _hold,
    "release": _release,
    "accept": _accept,
    "scan": _scan,
    "mend": _mend,
}


def _night_of(subject: str, ledger: Ledger, dispatcher: Dispatcher) -> str:
    """The newest night in which a job or a file has this name."""
    if is_night(subject):
        return subject
    for night in _newest(ledger.frames.nights()):
        if ledger.frames.named(night, subject) or dispatcher.look(night).concerning(subject):
            return night
        if any(mark.subject == subject for mark in ledger.marks.of_night(night)):
            return night
    return ""


def _night_by_name(scope: str, ledger: Ledger) -> str:
    """The night of the frames that a correction is about, by the time in their names; empty if it is not one night."""
    if is_night(scope):
        return scope
    nights = {night_by_name(Path(stem)) for stem in scope.split(RANGE)}
    if nights == {""}:  # names without a time: their directory tells
        first = scope.split(RANGE)[0]
        named = [row for night in _newest(ledger.frames.nights()) for row in ledger.frames.named(night, first)]
        nights = {night_by_name(row.path) for row in named[:1]}
    return nights.pop() if len(nights) == 1 else ""


def _newest(nights: Iterable[str]) -> list[str]:
    return sorted(nights, reverse=True)[:NIGHTS_SEARCHED]
