"""The night's list: what can be looked at, what waits, what is done. From the folder's files, and the ledger if any."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sedmd.core.config import Night as WaitingTimes
from sedmd.core.config import Settings
from sedmd.core.errors import SedmError
from sedmd.core.quality import OBSERVER, REDONE
from sedmd.host.foreign_file import open_regular
from sedmd.observation import decisions
from sedmd.observation.exposure import frame_of, raw_name
from sedmd.observation.inputs import Inputs
from sedmd.observation.saved import names
from sedmd.products.conditions import conditions_of
from sedmd.raw.cards import truth
from sedmd.raw.clocks import start_of
from sedmd.raw.fitsfile import MAX_HEADER_BLOCKS
from sedmd.raw.frames import Frame
from sedmd.raw.header import header_values
from sedmd.raw.unpack import BLOCK
from sedmd.raw.visits import Visit, observations
from sedmd.run.chosen import chosen_inputs
from sedmd.run.status import snapshot

log = logging.getLogger(__name__)

#: The ledger is asked again after this time even if nobody has written into it: what waits depends on the clock too.
LEDGER_PERIOD = timedelta(minutes=1)


class TargetStatus(StrEnum):
    """Where a target stands."""

    READY = "ready"
    PROVISIONAL = "provisional, to be confirmed"
    PAIR = "waiting for the pair"
    FAILED = "failed"
    AUTOMATIC = "extracted automatically"
    WAITING = "being reduced"
    DONE = "done"


#: Sign of each state, so that none is told by its colour alone.
MARKS: Mapping[TargetStatus, str] = {
    TargetStatus.READY: "●",
    TargetStatus.PROVISIONAL: "◈",
    TargetStatus.PAIR: "◐",
    TargetStatus.AUTOMATIC: "◇",
    TargetStatus.WAITING: "…",
    TargetStatus.FAILED: "✗",
    TargetStatus.DONE: "✓",
}


class Filter(StrEnum):
    """Which targets are gone through, as the actions of the pipeline before were called."""

    ALL = "all"
    SCIENCE = "science"
    OTHER = "other"
    REDO = "redo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the list.

    Attributes
    ----------
    product, name : str
        Name of the products; the target as it was typed.
    state : TargetStatus
    cubes : tuple of Path
        Empty while there is none.
    reason : str
        Why it waits or failed.
    exptime_s, airmass, start : of the (first) exposure, None when not known
    standard : bool
    half : str
        "A" or "B" for that exposure of a pair without the other; empty for pairs and singles.
    quality, reducer : of a graded spectrum; the pipeline grades those that it is sure of
    """

    product: str
    name: str
    state: TargetStatus = TargetStatus.READY
    cubes: tuple[Path, ...] = ()
    reason: str = ""
    exptime_s: float | None = None
    airmass: float | None = None
    start: datetime | None = None
    standard: bool = False
    half: str = ""
    quality: int | None = None
    reducer: str = ""

    @property
    def pair(self) -> bool:
        return len(self.cubes) == 2

    @property
    def partial(self) -> bool:
        """One exposure of a pair, which an observer takes deliberately without the other."""
        return bool(self.half)

    @property
    def openable(self) -> bool:
        return bool(self.cubes)

    @property
    def of_ztf(self) -> bool:
        return self.name.upper().startswith("ZTF")


def passes(entry: Entry, wanted: Filter) -> bool:
    """Does an entry belong to what is gone through? Standards are no targets, `OTHER` omits ZTF's too."""
    if wanted is Filter.ALL:
        return True
    if wanted is Filter.REDO:
        return entry.state is TargetStatus.DONE
    return not entry.standard and (wanted is Filter.SCIENCE or not entry.of_ztf)


def age(start: datetime | None, now: datetime) -> str:
    """How long ago an exposure began, short; the time of day for a night that is over."""
    if start is None:
        return ""
    minutes = (now - start).total_seconds() / 60
    if minutes < 0:
        return ""
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 20 * 60 else f"{start:%H:%M} UT"


@dataclass(frozen=True, slots=True)
class _Told:
    """What the ledger says of a product; `start` is that of the first exposure, None where no name tells it."""

    state: str = ""
    reason: str = ""
    standard: bool = False
    start: datetime | None = None

    @property
    def failed(self) -> bool:
        return "failed" in self.state or "quarantined" in self.state


class NightList:
    """A night's folder, looked at again and again: headers are read once.

    Parameters
    ----------
    folder : Path
        With the cubes ``e3d_*.fits``.
    settings : Settings, optional
        Of the pipeline: then its ledger is asked too, read-only.
    cubes : sequence of Path, optional
        Only these cubes instead of all in the folder.
    """

    def __init__(self, folder: Path, *, settings: Settings | None = None, cubes: Sequence[Path] | None = None) -> None:
        self.folder = folder
        self.settings = settings
        self._only = None if cubes is None else tuple(cubes)
        self._frames: dict[tuple[Path, int, int], Frame] = {}
        self._cards: dict[Path, tuple[int, int, Mapping[str, object]]] = {}
        self._told: tuple[object, datetime, dict[str, _Told], bool] | None = None
        self._chosen: tuple[object, datetime, dict[str, Inputs]] | None = None

    def entries(self, now: datetime) -> tuple[list[Entry], list[str]]:
        """The list by time, so that nothing moves; and what could not be read. Slow disk: not for the GUI thread."""
        frames: dict[str, tuple[Frame, Path]] = {}
        warnings: list[str] = []
        for path in self._cubes():
            found = self._frame(path)
            if isinstance(found, str):
                warnings.append(found)
            else:
                frames[found.stem] = (found, path)
        visits = observations([frame for frame, _ in frames.values()])
        waits = timedelta(seconds=(self.settings.night if self.settings else WaitingTimes()).partner_wait_s)
        told, closed, warning = self._ledger(now)
        if warning:
            warnings.append(warning)
        last = max((visit.frames[0].start for visit in visits), default=now)
        entries = []
        for visit in visits:
            first = visit.frames[0]
            ended = first.start + timedelta(seconds=first.exptime_s or 0.0)
            # the telescope takes B right after A: what went on to another target, or to bed, does not come back
            waiting = visit.awaits_partner and not closed and first.start >= last and ended > now - waits
            entries.append(self._entry(visit, frames, told, waiting=waiting))
        known = {entry.product for entry in entries}
        if self._only is None:
            entries += [_without_cube(name, words) for name, words in told.items() if name not in known]
        return sorted(entries, key=_order), warnings

    def inputs(self, product: str, now: datetime) -> Inputs | None:
        """Star and flux calibration of an observation as the pipeline's plan has them; None where no ledger tells.

        Slow disk: not for the GUI thread.
        """
        if self.settings is None or self.folder.parent.resolve() != self.settings.paths.redux_root.resolve():
            return None
        state_now = _state_of(self.settings.paths.state)
        if self._chosen is None or self._chosen[0] != state_now or now - self._chosen[1] >= LEDGER_PERIOD:
            try:
                chosen = chosen_inputs(self.settings, self.folder.name, now=now)
            except (SedmError, sqlite3.Error, OSError) as error:
                log.warning("ledger: %s; the headers in the folder tell star and flux calibration", error)
                return None
            self._chosen = (state_now, now, chosen)
        return self._chosen[2].get(product)

    def _cubes(self) -> list[Path]:
        return sorted(self.folder.glob("e3d_*.fits")) if self._only is None else list(self._only)

    def _frame(self, path: Path) -> Frame | str:
        try:
            status = path.stat()
            key = (path, status.st_mtime_ns, status.st_size)
            if key not in self._frames:
                self._frames[key] = frame_of(path, self._header(path))
            return self._frames[key]
        except (SedmError, OSError, ValueError) as error:
            words = " ".join(str(error).split()) or type(error).__name__
            return words if words.startswith(path.name) else f"{path.name}: {words}"

    def _entry(
        self,
        visit: Visit,
        frames: Mapping[str, tuple[Frame, Path]],
        told: Mapping[str, _Told],
        *,
        waiting: bool,
    ) -> Entry:
        cubes = tuple(frames[frame.stem][1] for frame in visit.frames)
        airmasses = [airmass for path in cubes if (airmass := self._airmass(path)) is not None]
        first = visit.frames[0]
        entry = Entry(
            product=visit.product,
            name=visit.name,
            cubes=cubes,
            state=TargetStatus.PAIR if waiting else TargetStatus.READY,
            exptime_s=first.exptime_s,
            airmass=sum(airmasses) / len(airmasses) if airmasses else None,
            start=first.start,
            standard=visit.standard,
            half=visit.half,
        )
        words = told.get(visit.product, _Told())
        if words.failed:
            entry = replace(entry, state=TargetStatus.FAILED, reason=words.reason)
        elif words.reason:
            entry = replace(entry, reason=words.reason)
        return with_product(entry, self._header)

    def _airmass(self, path: Path) -> float | None:
        """In the middle of the exposure, as the spectrum's header has it; None where the cube does not tell."""
        try:
            return conditions_of(self._header(path), raw_name(path)).airmass
        except (SedmError, OSError):
            return None

    def _header(self, path: Path) -> Mapping[str, object]:
        status = path.stat()
        known = self._cards.get(path)
        if known is None or known[:2] != (status.st_mtime_ns, status.st_size):
            known = self._cards[path] = (status.st_mtime_ns, status.st_size, header_of(path))
        return known[2]

    def _ledger(self, now: datetime) -> tuple[dict[str, _Told], bool, str]:
        """What each product is and whether the night is over, as the ledger tells; the viewer works without it."""
        if self.settings is None or not (self.settings.paths.state / "ledger.sqlite").exists():
            return {}, False, ""
        # planning a night takes longer than looking whether anybody has written into the ledger
        state_now = _state_of(self.settings.paths.state)
        if self._told is not None and self._told[0] == state_now and now - self._told[1] < LEDGER_PERIOD:
            return self._told[2], self._told[3], ""
        try:
            state = snapshot(self.settings, night=self.folder.name, now=now)
        except (SedmError, sqlite3.Error, OSError) as error:
            return {}, False, f"ledger: {error}"
        told = {}
        for target in state.targets:
            reason = target.reason.removeprefix(f"{target.name}: ")
            clock = start_of({}, target.frames[0]) if target.frames else None
            told[target.name] = _Told(target.stage, reason, target.standard, clock.time if clock else None)
        self._told = (state_now, now, told, state.closed)
        return told, state.closed, ""


def _state_of(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for path in sorted(folder.glob("ledger.sqlite*")):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append((path.name, status.st_mtime_ns, status.st_size))
    return found


def with_product(entry: Entry, read: Callable[[Path], Mapping[str, object]]) -> Entry:
    """The entry with what lies in the folder under its name: an observer's spectrum or the pipeline's."""
    if not entry.cubes:
        return entry
    folder = entry.cubes[0].parent
    for name in (entry.product + REDONE, entry.product):
        try:
            header = read(folder / names(name)[2])
        except (SedmError, OSError):
            continue
        quality, reducer = header.get("QUALITY"), header.get("REDUCER")
        if truth(header.get("PROVIS")):
            concerns = [str(header[key]) for number in range(1, 4) if (key := f"DOUBT{number}") in header]
            reason = entry.reason or "; ".join(concerns)
            return replace(entry, state=TargetStatus.PROVISIONAL, quality=None, reducer="", reason=reason)
        if not isinstance(quality, int) or quality <= 0:
            return replace(entry, state=TargetStatus.AUTOMATIC, quality=None, reducer="")
        state = TargetStatus.DONE if header.get("STEP") == OBSERVER else TargetStatus.AUTOMATIC
        return replace(entry, state=state, quality=quality, reducer=str(reducer or ""))
    return entry


def header_of(path: Path) -> Mapping[str, object]:
    """Cards of a file's primary header; reads no further than that.

    Raises
    ------
    FrameFault, OSError
        There is none.
    """
    content = b""
    with open_regular(path, follow=True) as file:
        for _ in range(MAX_HEADER_BLOCKS):
            block = file.read(BLOCK)
            content += block
            if len(block) < BLOCK or any(block[at : at + 8] == b"END     " for at in range(0, BLOCK, 80)):
                break
    return header_values(content)


def decision_of(entry: Entry) -> decisions.Decision | None:
    """The observer's decision on a target, None if there is none that can be read."""
    if not entry.cubes:
        return None
    folder = entry.cubes[0].parent
    for name in (entry.product + REDONE, entry.product):
        path = decisions.path_of(folder, name)
        if path.exists():
            try:
                return decisions.read(path)
            except (SedmError, OSError):
                continue
    return None


def matching(entries: Sequence[Entry], wanted: str) -> list[Entry]:
    """Entries that a name on the command line means: its products, or all visits to the target."""
    plain = wanted.removeprefix("sp_").removesuffix(".npy").removesuffix(".fits").removeprefix("redo_")
    exact = [entry for entry in entries if entry.product == plain]
    return exact or [entry for entry in entries if plain.lower() in (entry.name.lower(), entry.product.lower())]


def _without_cube(name: str, words: _Told) -> Entry:
    return Entry(
        product=name,
        name=name,
        state=TargetStatus.FAILED if words.failed else TargetStatus.WAITING,
        reason=words.reason or words.state,
        standard=words.standard,
        start=words.start,
    )


def _order(entry: Entry) -> tuple[float, str]:
    """By time only: what is saved stays where it is, and what is new comes last."""
    return entry.start.timestamp() if entry.start else float("inf"), entry.product
