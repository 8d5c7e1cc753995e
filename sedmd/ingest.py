"""From a path to a row of the ledger: read the frame once, or say why it cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from sedmd import __version__
from sedmd.config import Settings
from sedmd.errors import FrameFault
from sedmd.frames import Limits, read_frame
from sedmd.instrument import CCD_SHAPE
from sedmd.ledger import FrameRow, KnownFile, Ledger
from sedmd.night import night_of
from sedmd.rawname import RAW_SUFFIXES, packing_of, stem_of

#: So many places of a frame are looked at when it comes once more.
MOST_PLACES = 16


def limits(settings: Settings) -> Limits:
    """The limits on calibrations that the configuration sets."""
    rules = settings.calibrations
    return Limits(dome_min_exptime_s=rules.dome_min_exptime_s, lamp_min_exptime_s=rules.lamp_min_exptime_s)


def take_in(path: Path, settings: Settings, *, now: datetime) -> FrameRow:
    """Read a raw file that is not expected to grow any more.

    Returns
    -------
    FrameRow
        "good", or "quarantined" with the sentence that says what is wrong.
    """
    try:
        status = path.stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError as error:
        return quarantined(path, f"{path.name} cannot be read: {error.strerror}", settings, now=now)
    try:
        frame = read_frame(path, shape=CCD_SHAPE, limits=limits(settings))
    except FrameFault as fault:
        return quarantined(path, str(fault), settings, now=now, size=size, mtime_ns=mtime_ns)
    except OSError as error:
        reason = (
            f"{path.name} cannot be read: {error.strerror or error}; expected a readable file. Check its permissions"
        )
        return quarantined(path, reason, settings, now=now, size=size, mtime_ns=mtime_ns)
    return FrameRow(
        path=path,
        night=night_of(frame.start),
        state="good",
        reason="",
        size=size,
        mtime_ns=mtime_ns,
        arrived=now,
        rules=rules(settings),
        frame=frame,
    )


def rules(settings: Settings) -> str:
    """What decides how a file is read besides its bytes: when it changes, files are read again."""
    return f"{__version__} {limits(settings)}"


def unchanged(path: Path, known: Mapping[Path, KnownFile], settings: Settings) -> bool:
    """True if this very file was read before, by the same rules."""
    seen = known.get(path)
    if seen is None:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    return seen == KnownFile(size=status.st_size, mtime_ns=status.st_mtime_ns, rules=rules(settings), state=seen.state)


def register(ledger: Ledger, row: FrameRow) -> list[Path]:
    """Put a row into the ledger, in the place of the same frame where it no longer is (moved, renamed, compressed).

    Returns
    -------
    list of Path
        Where the frame was; the ledger knows these files no longer.
    """
    if row.frame is not None:
        for other in ledger.files_at(row.path.with_name(stem_of(row.path) + suffix) for suffix in RAW_SUFFIXES):
            same = other.frame is not None and other.frame.data_checksum == row.frame.data_checksum
            if same and other.frame is not None and other.path != row.path and not other.path.exists():
                # fpack rewrites cards: what was made from the frame is still made from it
                row = replace(row, frame=replace(row.frame, checksum=other.frame.checksum))
    ledger.put_frame(row)
    if row.frame is None:
        return []
    # a frame of which there are thousands of copies is left to the sweep
    return _drop_gone(ledger, ledger.places_of(row.frame.checksum, at_most=MOST_PLACES), row.path)


def drop_moved(ledger: Ledger, night: str) -> list[Path]:
    """Drop the rows of files that are gone where another file has the same frame; which files."""
    places: dict[str, list[FrameRow]] = {}
    for row in ledger.frames(night):
        if row.frame is not None:
            places.setdefault(row.frame.checksum, []).append(row)
    dropped = []
    for rows in places.values():
        if len(rows) > 1 and (there := next((row.path for row in rows if row.path.exists()), None)) is not None:
            dropped += _drop_gone(ledger, rows, there)
    return dropped


def _drop_gone(ledger: Ledger, places: Iterable[FrameRow], there: Path) -> list[Path]:
    dropped = []
    for other in places:
        if other.path != there and not other.path.exists():
            ledger.drop_frame(other, f"now {there.parent.name}/{there.name}")
            dropped.append(other.path)
    return dropped


def quarantined(
    path: Path,
    reason: str,
    settings: Settings,
    *,
    now: datetime,
    size: int = -1,
    mtime_ns: int = -1,
    state: str = "quarantined",
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
        rules=rules(settings),
    )


def night_by_name(path: Path) -> str:
    """The night of a file whose header cannot be read: from the time in its name, else its directory."""
    text = path.name.removeprefix("ifu")[:17]
    try:
        return night_of(datetime.strptime(text + "+0000", "%Y%m%d_%H_%M_%S%z"))
    except (ValueError, OverflowError):  # the last night of the year 9999 has no morning
        return path.parent.name if is_night_name(path.parent.name) else ""


def is_night_name(name: str) -> bool:
    """True for ``YYYYMMDD``."""
    return len(name) == 8 and name.isascii() and name.isdigit() and name.startswith("20")


def raw_files(directories: Iterable[Path], pattern: str) -> list[Path]:
    """Raw frames in night directories, packed or not: names as `is_frame_name` wants them, sorted."""
    return sorted(path for folder in directories for path in folder.glob("*") if is_frame_name(path, pattern))


def is_frame_name(path: Path, pattern: str = "*.fits") -> bool:
    """True for the name of a raw frame; False for those that copying programs use while they work.

    Parameters
    ----------
    pattern : str
        For the name of the plain file; it holds for the gzipped and fpacked one as well.
    """
    name = path.name
    if packing_of(name) is None or name.startswith(".") or stem_of(name).endswith(("~", ".tmp", ".part", ".partial")):
        return False
    # what cannot be printed on one line, or stored as text, never came from the camera
    return name.isprintable() and name.isascii() and fnmatchcase(f"{stem_of(name)}.fits", pattern)
