"""The products on disk against the ledger: what is missing or was changed by somebody else, and what is put aside."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sedmd.job import Job
from sedmd.ledger import Ledger
from sedmd.report import WARNING

#: Where a product goes that the plan no longer wants, below its night's directory.
SUPERSEDED = "superseded"


class Once(Protocol):
    """Notes and reports a sentence, unless it is the last that was said of its subject."""

    def __call__(self, night: str, step: str, subject: str, what: str, text: str, *, level: int) -> None: ...


class Custody:
    """Keeps the ledger's word on the products and the files themselves together.

    Parameters
    ----------
    ledger : Ledger
    redux_root : Path
    once : callable
        Told what cannot be done.
    """

    def __init__(self, *, ledger: Ledger, redux_root: Path, once: Once) -> None:
        self._ledger = ledger
        self._redux_root = redux_root
        self._once = once

    def check(self, night: str, *, busy: Collection[Path] = ()) -> None:
        """Forget products that were deleted or changed by somebody else, so that they are made again.

        A changed file is put aside: if nothing makes it again, it must not pass for the product that it was.

        Parameters
        ----------
        busy : collection of Path
            Products that are being made anew, and not booked yet.
        """
        folder = self._redux_root / night
        if not folder.is_dir():
            # the whole directory is away: an unmounted disk more likely than a deleted night
            return
        for path, (size, mtime_ns, _) in self._ledger.product_files(night).items():
            if path in busy:
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                self._ledger.forget_product(path, night, "the file is gone")
                continue
            except OSError:
                continue  # the disk does not say: the next look will
            if (status.st_size, status.st_mtime_ns) != (size, mtime_ns) and self.put_aside(path, night, "changed"):
                why = f"the file was changed by another program; kept in {SUPERSEDED}/"
                self._ledger.forget_product(path, night, why)

    def spoilt(self, job: Job) -> str:
        """Name of an input that is no longer the product that the ledger knows; empty if there is none."""
        given = sorted(
            path for paths in job.inputs.values() for path in paths if path.parent.parent == self._redux_root
        )
        for folder, paths in itertools.groupby(given, key=lambda path: path.parent):
            known = {path.name: (path, *rest) for path, rest in self._ledger.product_files(folder.name).items()}
            for path in paths:
                if path.name not in known:
                    return path.name  # it was found changed while the job ran, and put aside
                place, size, mtime_ns, _ = known[path.name]
                if place != path:
                    continue  # the root was copied: the ledger still speaks of the other place
                with suppress(FileNotFoundError):  # one that was taken away meanwhile was read before
                    status = path.stat()
                    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
                        return path.name
        return ""

    def put_aside(self, path: Path, night: str, what: str) -> bool:
        """Move a file out of the way; False, and told once, if the disk does not let us."""
        try:
            with suppress(FileNotFoundError):
                (path.parent / SUPERSEDED).mkdir(exist_ok=True)
                path.replace(path.parent / SUPERSEDED / path.name)
        except OSError as error:
            text = f"{what}, but cannot be put aside ({error.strerror}); tried again"
            self._once(night, "plan", path.name, "keeps", text, level=WARNING)
            return False
        return True
