"""From a path to a row of the ledger: read the frame once, or say why it cannot be used."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from sedmd import __version__
from sedmd.core.config import Settings
from sedmd.core.errors import FrameFault
from sedmd.core.nights import is_night, neighbour, night_of
from sedmd.core.sun import Observatory
from sedmd.host.foreign_file import plain
from sedmd.host.isolated import Died, apart
from sedmd.ledger.ledger import FrameRow, KnownFile, Ledger
from sedmd.ledger.marks import MEND
from sedmd.raw.fitsfile import unreadable
from sedmd.raw.frames import Limits, read_frame
from sedmd.raw.header import Value
from sedmd.raw.mends import Cards, Mend, cards_for
from sedmd.raw.rawname import RAW_SUFFIXES, Packing, packing_of, stem_of
from sedmd.raw.unfinished_header import unfinished_frame
from sedmd.run.readers import Readers, StillReading

#: How names end that copying programs use while they work.
_AT_WORK = ("~", ".tmp", ".part", ".partial")
#: A name that was meant to be one of a raw frame.
_LIKE_A_FRAME = re.compile(r"(ifu.*)(\.fits(?:\.gz|\.fz)?)", re.IGNORECASE | re.DOTALL)
#: So many places of a frame are checked when it comes once more.
MOST_PLACES = 16
#: The array of a raw frame (rows, columns); None: that of any camera of the spectrograph. Tests have a small one.
ARRAY_SHAPE: tuple[int, int] | None = None


def limits(settings: Settings) -> Limits:
    """The limits on calibrations that the configuration sets."""
    rules = settings.calibrations
    return Limits(dome_min_exptime_s=rules.dome_min_exptime_s, lamp_min_exptime_s=rules.lamp_min_exptime_s)


class Corrections:
    """The corrected cards of any file, as the ledger has them now; remembered until `clear`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._nights: set[str] | None = None
        self._mends: dict[str, list[Mend]] = {}

    def of(self, path: Path) -> dict[str, Value | None]:
        """Corrected cards of the frame at `path`; its name, which no correction changes, tells the night."""
        if self._nights is None:
            self._nights = self._ledger.marks.nights(MEND)
        if not self._nights:
            return {}
        night = night_by_name(path)
        if night not in self._mends:
            self._mends[night] = self._ledger.marks.mends(night) if night in self._nights else []
        return cards_for(self._mends[night], stem_of(path)) if self._mends[night] else {}

    def clear(self) -> None:
        """Ask the ledger again."""
        self._nights = None
        self._mends.clear()


def take_in(
    path: Path, settings: Settings, *, now: datetime, mends: Cards | None = None, readers: Readers | None = None
) -> FrameRow:
    """Read a raw file that is not expected to grow any more.

    Parameters
    ----------
    mends : mapping of card to value
        Corrections of its header by an operator.
    readers : Readers, optional
        Processes that do so and may die; without them only a packed image is decoded in one.

    Returns
    -------
    FrameRow
        "good", "quarantined" with the sentence that says what is wrong, or "deferred" if the disk does not give it.

    Raises
    ------
    StillReading
        The `readers` have no answer yet.
    """
    try:
        status = path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError as error:
        reason = unreadable(path, error)
        if path.is_symlink():
            where = plain(str(path.readlink()))
            reason = f"{path.name} is a link to {where}, where nothing is; bring it there, or remove it"
        return quarantined(path, reason, settings, now=now, mends=mends)
    site = settings.site
    try:
        read = partial(
            read_frame,
            path,
            shape=ARRAY_SHAPE,
            limits=limits(settings),
            min_hdus=settings.watch.min_hdus,
            mends=mends,
            unfinished=partial(
                unfinished_frame, site=Observatory(site.latitude_deg, site.longitude_deg, site.height_m)
            ),
        )
        if readers is not None:
            frame = readers.call((path, "read", size, mtime_ns, rules(settings, mends)), read)
        else:
            # a packed image is decoded by compiled code, which bytes of chance may crash
            frame = apart(read) if packing_of(path) is Packing.FPACK else read()
    except StillReading:
        raise
    except (FrameFault, Died) as fault:
        text = unread(path, fault) if isinstance(fault, Died) else str(fault)
        return quarantined(path, text, settings, now=now, size=size, mtime_ns=mtime_ns, mends=mends)
    except OSError as error:
        # the disk, not the frame: it is read again
        reason = unreadable(path, error)
        state = "deferred"
        return quarantined(path, reason, settings, now=now, size=size, mtime_ns=mtime_ns, state=state, mends=mends)
    except MemoryError:
        raise
    except Exception as error:
        # the boundary of intake: a fault of a file costs that file only
        reason = fault_of_program(path, error)
        return quarantined(path, reason, settings, now=now, size=size, mtime_ns=mtime_ns, mends=mends)
    return FrameRow(
        path=path,
        night=night_of(frame.start),
        state="good",
        reason="",
        size=size,
        mtime_ns=mtime_ns,
        arrived=now,
        rules=rules(settings, mends),
        frame=frame,
    )


def unread(path: Path, fault: Died) -> str:
    """The sentence for a file over which its reader died, or was stopped."""
    what = "unpacked" if packing_of(path) is Packing.FPACK else "read"
    return f"{path.name} cannot be {what}: {fault}. Exclude it"


def fault_of_program(path: Path, error: Exception) -> str:
    """The sentence for a file that did to its reader what nobody thought of."""
    what = plain(" ".join(f"{type(error).__name__}: {error}".split())[:300])
    return f"{path.name} could not be read: {what}; an internal error, please report it"


def rules(settings: Settings, mends: Cards | None = None) -> str:
    """What decides how a file is read besides its bytes: when it changes, files are read again."""
    corrected = f" corrected {json.dumps(mends, sort_keys=True)}" if mends else ""
    return f"{__version__} {limits(settings)}{corrected}"


def unchanged(path: Path, known: Mapping[Path, KnownFile], settings: Settings, mends: Cards | None = None) -> bool:
    """True if this very file was read before, by the same rules."""
    seen = known.get(path)
    if seen is None:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    return (seen.size, seen.mtime_ns, seen.rules) == (status.st_size, status.st_mtime_ns, rules(settings, mends))


def register(ledger: Ledger, row: FrameRow) -> list[Path]:
    """Put a row into the ledger, in the place of the same frame where it no longer is (moved, renamed, compressed).

    Returns
    -------
    list of Path
        Where the frame was; the ledger knows these files no longer.
    """
    replaced = []
    for other in ledger.frames.at(_packings(row.path)):
        if other.path == row.path:
            if other.night != row.night:
                ledger.frames.drop(other, f"belongs to night {row.night}")  # its time was corrected, or its header came
            if _same_pixels(other, row):
                row = replace(row, arrived=other.arrived)  # read again: it came when it came
        elif other.frame is None or _same_pixels(other, row):
            replaced.append(other)
            if other.state == "forgotten":
                row = replace(row, state=other.state, reason=other.reason)  # compressed: an operator left it out
    ledger.frames.put(row)
    if row.frame is None:
        return _drop_gone(ledger, replaced, row.path)
    # a frame of which there are thousands of copies is left to the sweep
    return _drop_gone(
        ledger, [*replaced, *ledger.frames.with_checksum(row.frame.checksum, at_most=MOST_PLACES)], row.path
    )


def drop_moved(ledger: Ledger, night: str) -> list[Path]:
    """Drop the rows of files that are gone where another file has the same frame; which files."""
    rows = ledger.frames.of_night(night)
    places: dict[str, list[FrameRow]] = {}
    for row in rows:
        if row.frame is not None:
            places.setdefault(row.frame.data_checksum, []).append(row)
    dropped = []
    for same in places.values():
        if len(same) > 1 and (there := next((row.path for row in same if not _is_gone(row.path)), None)) is not None:
            dropped += _drop_gone(ledger, same, there)
    known = {row.path for row in rows}
    for row in rows:
        # one that could not be read, and was compressed or replaced since
        others = (path for path in _packings(row.path) if path != row.path and path in known and not _is_gone(path))
        if row.frame is None and (there := next(others, None)) is not None:
            dropped += _drop_gone(ledger, [row], there)
    return dropped


def _packings(path: Path) -> list[Path]:
    """Where a frame lies, plain or packed."""
    return [path.with_name(stem_of(path) + suffix) for suffix in RAW_SUFFIXES]


def _same_pixels(one: FrameRow, other: FrameRow) -> bool:
    return one.frame is not None and other.frame is not None and one.frame.data_checksum == other.frame.data_checksum


def _drop_gone(ledger: Ledger, places: Iterable[FrameRow], there: Path) -> list[Path]:
    dropped: list[Path] = []
    for other in places:
        if other.path != there and other.path not in dropped and _is_gone(other.path):
            where = f"{there.parent.name}/{there.name}"
            ledger.frames.drop(other, f"now {where}")
            if other.frame is not None:
                # whoever looked for it where it was failed through no fault of the frame, which has the same key there
                ledger.jobs.forget_failures_with(
                    other.night, other.frame.checksum, f"tried again: a frame is now {where}"
                )
            dropped.append(other.path)
    return dropped


def _is_gone(path: Path) -> bool:
    """True only where the disk says so; one that does not answer has lost nothing."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def quarantined(
    path: Path,
    reason: str,
    settings: Settings,
    *,
    now: datetime,
    size: int = -1,
    mtime_ns: int = -1,
    state: str = "quarantined",
    mends: Cards | None = None,
) -> FrameRow:
    """The row of a file that cannot be used and costs only itself.

    Parameters
    ----------
    state : str
        "quarantined", or "deferred" for one that stopped growing too early; it is read again when it changes.
    """
    return FrameRow(
        path=path,
        night=night_by_name(path),
        state=state,
        reason=reason,
        size=size,
        mtime_ns=mtime_ns,
        arrived=now,
        rules=rules(settings, mends),
    )


def night_by_name(path: Path) -> str:
    """The night of a file whose header cannot be read: from the time in its name, else its directory."""
    text = path.name.removeprefix("ifu")[:17]
    try:
        return night_of(datetime.strptime(text + "+0000", "%Y%m%d_%H_%M_%S%z"))
    except (ValueError, OverflowError):  # the last night of the year 9999 has no morning
        return path.parent.name if is_night(path.parent.name) else ""


def raw_files(directories: Iterable[Path], pattern: str) -> list[Path]:
    """Raw frames in night directories, packed or not: names as `is_frame_name` wants them, sorted."""
    found = [(str(folder), name) for folder in directories for name in _names(folder) if is_frame_name(name, pattern)]
    return [Path(folder, name) for folder, name in sorted(found)]


def misnamed(folder: Path, pattern: str = "*.fits") -> dict[Path, str]:
    """Files that look like raw frames and are not read because of their names, and why."""
    wrong = {}
    for name in sorted(_names(folder)):
        found = _LIKE_A_FRAME.fullmatch(name)
        if found is None or is_frame_name(name, pattern) or found[1].lower().endswith(_AT_WORK):
            continue
        if not (name.isprintable() and name.isascii()):
            why = "its name holds characters that no camera writes"
        elif not name.endswith(tuple(RAW_SUFFIXES)):
            why = f"its name ends in {found[2]}, expected {found[2].lower()}"
        else:
            why = f"its name is not one of {pattern}"
        wrong[folder / name] = f"{plain(name)} is not read: {why}. Rename it if it is a raw frame"
    return wrong


def wrong_night(row: FrameRow) -> str:
    """What to say of a frame whose header tells another night than its directory; empty if they agree."""
    where = row.path.parent.name
    if row.frame is None or not is_night(where) or where in (row.night, neighbour(row.night, -1)):
        return ""
    return f"belongs to night {row.night} by its header, but lies in {where}; is its date right?"


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  names are enough, and three times as fast
    except OSError:  # gone, or closed to us: its frames are found when it is back
        return []


def is_frame_name(path: Path | str, pattern: str = "*.fits") -> bool:
    """True for the name of a raw frame; False for those that copying programs use while they work.

    Parameters
    ----------
    pattern : str
        For the name of the plain file; it holds for the gzipped and fpacked one as well.
    """
    name = path if isinstance(path, str) else path.name
    stem = stem_of(name)
    if stem == name or name.startswith(".") or stem.endswith(_AT_WORK):
        return False
    # what cannot be printed on one line, or stored as text, never came from the camera
    return name.isprintable() and name.isascii() and fnmatchcase(f"{stem}.fits", pattern)
