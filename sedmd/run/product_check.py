"""The products on disk against the ledger: what is missing or was changed by somebody else, and what is moved aside.

The bytes of a product are the truth, not its time stamp: an archive that was unpacked or copied without its times holds
the same products. Nothing that was moved there is ever overwritten, and nothing is given up that cannot be remade.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sedmd.core.job import Job
from sedmd.host.foreign_file import ForeignFault, checksum_of
from sedmd.host.sharing import make_folder, not_ours
from sedmd.ledger.ledger import Ledger
from sedmd.plan.calibrations import output_checksum
from sedmd.run.event_log import WARNING, EventLog

#: Where a product goes that the plan no longer wants, below its night's directory.
SUPERSEDED = "superseded"
#: So many names are listed in one line.
NAMES_LISTED = 5


class Once(Protocol):
    """Notes and reports a sentence, unless it is the last that was said of its subject."""

    def __call__(self, night: str, step: str, subject: str, what: str, text: str, *, level: int) -> None: ...


class Custody:
    """Keeps the ledger's word on the products and the files themselves together.

    Parameters
    ----------
    ledger : Ledger
    redux_root : Path
    report : EventLog
    once : callable
        Reports what does not change by itself.
    monotonic : callable
        Seconds.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        redux_root: Path,
        report: EventLog,
        once: Once,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._redux_root = redux_root
        self._report = report
        self._once = once
        self._monotonic = monotonic

    def check(self, night: str, *, busy: Collection[Path] = (), budget_s: float = math.inf) -> bool:
        """Forget products that were deleted or changed by somebody else, so that they are made again.

        A changed file is moved to superseded/: if nothing makes it again, it must not pass for the product. One
        whose raw frames are gone stays where it is, and known: nothing could make it again.

        Parameters
        ----------
        busy : collection of Path
            Products that are being remade, and not recorded yet.
        budget_s : float
            No further checksum is taken after so many seconds.

        Returns
        -------
        bool
            Everything was checked; False: call again for the rest.
        """
        folder = self._redux_root / night
        if not folder.is_dir():
            # the whole directory is away: an unmounted disk more likely than a deleted night
            return True
        missing, changed = [], []
        until, complete = self._monotonic() + budget_s, True
        for path, (size, mtime_ns, sha256) in self._ledger.products.files(night).items():
            if path in busy:
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                missing.append(path)
                continue
            except OSError:
                continue  # the disk does not say: the next look will
            if (status.st_size, status.st_mtime_ns) == (size, mtime_ns):
                continue
            if status.st_size == size and self._monotonic() >= until:
                complete = False
            elif self._same(path, size, sha256) is False:
                changed.append(path)
        self._forget(night, missing, changed)
        return complete

    def spoilt(self, job: Job) -> str:
        """Name of an input that is no longer the product that the ledger knows; empty if there is none."""
        root = self._redux_root
        given = sorted(path for paths in job.inputs.values() for path in paths if path.parent.parent == root)
        for folder, paths in itertools.groupby(given, key=lambda path: path.parent):
            known = {path.name: (path, *rest) for path, rest in self._ledger.products.files(folder.name).items()}
            for path in paths:
                if path.name not in known:
                    return path.name  # it was found changed while the job ran, and moved aside
                place, size, mtime_ns, sha256 = known[path.name]
                if place != path:
                    continue  # the root was copied: the ledger still speaks of the other place
                with suppress(FileNotFoundError):  # one that was taken away meanwhile was read before
                    status = path.stat()
                    value = (status.st_size, status.st_mtime_ns)
                    if value != (size, mtime_ns) and self._same(path, size, sha256) is False:
                        return path.name
        return ""

    def move_aside(self, path: Path, night: str, what: str) -> str:
        """Move a file out of the way, beside what lies there; where to. Empty, and reported once, if that fails."""
        place = path.parent / SUPERSEDED
        try:
            make_folder(place)
            target = _free(place / path.name)
            with suppress(FileNotFoundError):
                path.rename(target)
        except OSError as error:
            why = not_ours(place / path.name) or error.strerror
            text = f"{what}, but cannot be moved to {SUPERSEDED} ({why}); tried again"
            self._once(night, "plan", path.name, "keeps", text, level=WARNING)
            return ""
        return f"{SUPERSEDED}/{target.name}"

    def discard(self, path: Path, night: str, why: str) -> None:
        """Remove a product that is easily made again, unless somebody changed it: then `check` sees to it."""
        size, _, sha256 = self._ledger.products.files(night).get(path, (-1, 0, ""))
        if self._same(path, size, sha256):
            with suppress(OSError):
                path.unlink()
                self._ledger.products.forget(path, night, why)

    def source_gone(self, night: str, path: Path, lost: Collection[Path] = ()) -> str:
        """Name of a raw frame behind a product that is no longer anywhere; empty if it can be made again.

        Parameters
        ----------
        lost : collection of Path
            Products that would have to be made again before it.
        """
        origins = self._ledger.products.origins(night)
        made_by = {output_checksum(key, role): product for product, (key, role, _) in origins.items()}
        waiting, seen = [path], {path}
        while waiting:
            _, _, inputs = origins.get(waiting.pop(), ("", "", ()))
            for _, checksum in inputs:
                product = made_by.get(checksum)
                if product is None:
                    places = [row.path for row in self._ledger.frames.with_checksum(checksum)]
                    if places and not any(_is_there(place) for place in places):
                        return places[0].name
                elif product not in seen and (product in lost or not _is_there(product)):
                    seen.add(product)
                    waiting.append(product)
        return ""

    def _same(self, path: Path, size: int, sha256: str) -> bool | None:
        """Whether the bytes are those that were booked, whose new stamp is then taken; None where nobody can say."""
        try:
            before = path.stat()
            if before.st_size != size or checksum_of(path) != sha256:
                return False
            after = path.stat()
        except ForeignFault:
            return False
        except OSError:
            return None
        if after.st_mtime_ns == before.st_mtime_ns:  # else it is being written: the next look says more
            self._ledger.products.adopt_stamp(path, size=after.st_size, mtime_ns=after.st_mtime_ns)
        return True

    def _forget(self, night: str, missing: list[Path], changed: list[Path]) -> None:
        lost = {*missing, *changed}
        again: list[Path] = []
        for path in missing:
            if gone := self.source_gone(night, path, lost):
                self._keep(night, path, "is missing", gone)
            else:
                again.append(path)
        if again:
            names = ", ".join(path.name for path in again[:NAMES_LISTED])
            more = f" and {len(again) - NAMES_LISTED} more" if len(again) > NAMES_LISTED else ""
            what = "product is" if len(again) == 1 else "products are"
            text = f"{len(again)} {what} missing, to be remade: {names}{more}"
            self._report.event(night, "products", "", text, level=WARNING)
        for path in again:
            self._ledger.products.forget(path, night, "the file is gone")
        for path in changed:
            if gone := self.source_gone(night, path, lost):
                self._keep(night, path, "was changed by another program", gone)
            elif where := self.move_aside(path, night, "changed"):
                why = f"the file was changed by another program; kept as {where}"
                self._ledger.products.forget(path, night, why)
                self._report.event(night, "products", path.name, f"{why}, to be remade", level=WARNING)

    def _keep(self, night: str, path: Path, what: str, gone: str) -> None:
        text = f"{what}, and cannot be remade: the raw frame {gone} is gone. Restore one of them"
        self._once(night, "products", path.name, "keeps", text, level=WARNING)


def _free(path: Path) -> Path:
    """A name beside which nothing lies yet: the file's own, else with .v2, .v3 ... after it."""
    if not _lies(path):
        return path
    names = (path.with_name(f"{path.name}.v{number}") for number in itertools.count(2))
    return next(name for name in names if not _lies(name))


def _lies(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _is_there(path: Path) -> bool:
    """False only where the disk says so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
