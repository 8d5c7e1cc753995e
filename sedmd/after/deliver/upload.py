"""Spectra of a night to their receiver: what is due, each content once, its outcome in report_ztf.txt."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sedmd.after.deliver.backend import Backend, Closed, Receipt, Refused, TryLater
from sedmd.after.deliver.deliveries import (
    DROPPED,
    OPEN,
    QUEUED,
    REFUSED,
    SENDING,
    SENT,
    WAITING,
    WITHDRAWN,
    Deliveries,
    Delivery,
    sender,
)
from sedmd.after.deliver.outgoing import Outgoing, Unfit, outgoing, why_not
from sedmd.after.spectra import final_spectra
from sedmd.core.config import Settings
from sedmd.core.nights import is_night
from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import text_of
from sedmd.observation.own_files import known_in

REPORT = "report_ztf.txt"
#: The command itself waits so long before the next attempt; after that it ends and the next run goes on, seconds.
PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLine:
    """What is the case with one spectrum of a night.

    Attributes
    ----------
    state : str
        "sent", "refused", "waiting", "queued", "not sent" (and is not to be) or "unfit".
    fresh : bool
        This run brought it there.
    """

    product: str
    state: str
    text: str
    fresh: bool = False

    def __str__(self) -> str:
        return f"{self.product:32} {self.state:9} {self.text}"

    @property
    def needs_action(self) -> bool:
        """Somebody should see to it, or run the command again."""
        return self.state not in (SENT, "not sent")


class Uploader:
    """Sends the spectra of nights.

    Parameters
    ----------
    settings : Settings
    backend : Backend
    clock : callable
    again : bool
        Try now also what was refused or waits for its time.
    sleep : callable
    """

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        *,
        clock: Callable[[], datetime],
        again: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._clock = clock
        self._again = again
        self._sleep = sleep
        #: Why nothing more is tried in this run; empty while it goes on.
        self._ended = ""

    def run(self, nights: Iterable[str]) -> Iterator[tuple[str, UploadLine]]:
        """Send what is due of these nights, the oldest first; each spectrum as it is done with.

        Raises
        ------
        Locked
            Another process is uploading.
        """
        with (
            sender(self._settings.paths.state, "upload"),
            Deliveries.open(self._settings.paths.state, clock=self._clock) as queue,
        ):
            for night in sorted(set(nights)):
                lines = []
                for line in self._night(queue, night):
                    lines.append(line)
                    yield night, line
                write_report(self._settings, self._backend.name, queue, night, lines)

    def _night(self, queue: Deliveries, night: str) -> Iterator[UploadLine]:
        ready: list[Outgoing] = []
        for one in survey(self._settings, night, clock=self._clock):
            if isinstance(one, UploadLine):
                yield one
            else:
                ready.append(one)
        # the whole night is in the queue before the first is sent
        for spectrum in ready:
            if self._known(queue, spectrum) is None:
                self._put(queue, spectrum, QUEUED, text=f"queued for {self._backend.name}")
        self._drop_stale(queue, night, ready)
        for spectrum in ready:
            yield self._one(queue, spectrum)

    def _drop_stale(self, queue: Deliveries, night: str, ready: list[Outgoing]) -> None:
        """Take out what cannot be sent any more, so that the queue does not wait for it."""
        current = {(one.product, one.content) for one in ready}
        for old in queue.of_night(self._backend.name, night):
            if old.state in OPEN and (old.product, old.content) not in current:
                text = f"no longer sent to {self._backend.name}: the spectrum has changed"
                queue.put(old.service, night, old.product, old.content, DROPPED, text=text, receipt=old.receipt)

    def _one(self, queue: Deliveries, spectrum: Outgoing) -> UploadLine:
        known = self._known(queue, spectrum)
        assert known is not None
        if (line := settled(known, spectrum, now=self._clock(), again=self._again)) is not None:
            return line
        tries = 0 if self._again else known.tries
        while not self._ended:
            tries += 1
            self._put(
                queue, spectrum, SENDING, text=f"is sent to {self._backend.name}", receipt=known.receipt, tries=tries
            )
            try:
                receipt = self._backend.send(spectrum)
            except Refused as error:
                self._put(
                    queue,
                    spectrum,
                    REFUSED,
                    text=f"refused: {error}",
                    receipt=known.receipt,
                    reason=str(error),
                    tries=tries,
                )
                return UploadLine(product=spectrum.product, state=REFUSED, text=str(error))
            except Closed as error:
                self._ended = str(error)
                self._put(queue, spectrum, QUEUED, text=f"not sent: {error}", receipt=known.receipt, reason=str(error))
                return UploadLine(product=spectrum.product, state=QUEUED, text=str(error))
            except TryLater as error:
                if (line := self._later(queue, spectrum, error, tries, known.receipt)) is not None:
                    return line
            else:
                return self._sent(queue, spectrum, receipt)
        return UploadLine(product=spectrum.product, state=QUEUED, text=f"not tried: {self._ended}")

    def _later(
        self, queue: Deliveries, spectrum: Outgoing, error: TryLater, tries: int, receipt: str
    ) -> UploadLine | None:
        waits = self._settings.upload.retry_after_s or (PATIENCE_S,)
        # what the receiver asks for is the least: one that always asks for nothing would be asked for ever
        wait = max(error.after_s or 0.0, waits[min(tries, len(waits)) - 1])
        until = self._clock() + timedelta(seconds=wait)
        text = f"not before {until:%Y-%m-%d %H:%M:%S} UT: {error}"
        self._put(
            queue,
            spectrum,
            WAITING,
            text=f"waits: {error}",
            receipt=receipt,
            reason=str(error),
            tries=tries,
            not_before=until,
        )
        if wait <= PATIENCE_S:
            self._sleep(wait)
            return None
        self._ended = str(error)
        return UploadLine(product=spectrum.product, state=WAITING, text=text)

    def _sent(self, queue: Deliveries, spectrum: Outgoing, receipt: Receipt) -> UploadLine:
        text = f"sent to {self._backend.name}: {receipt}"
        self._put(queue, spectrum, SENT, text=text, receipt=str(receipt), beside=spectrum.beside)
        return UploadLine(product=spectrum.product, state=SENT, text=str(receipt), fresh=True)

    def _known(self, queue: Deliveries, spectrum: Outgoing) -> Delivery | None:
        return queue.find(self._backend.name, spectrum.night, spectrum.product, spectrum.content)

    def _put(
        self,
        queue: Deliveries,
        spectrum: Outgoing,
        state: str,
        *,
        text: str,
        receipt: str = "",
        reason: str = "",
        beside: str = "",
        tries: int = 0,
        not_before: datetime | None = None,
    ) -> None:
        queue.put(
            self._backend.name,
            spectrum.night,
            spectrum.product,
            spectrum.content,
            state,
            text=text,
            receipt=receipt,
            reason=reason,
            beside=beside,
            tries=tries,
            not_before=not_before,
        )


def survey(settings: Settings, night: str, *, clock: Callable[[], datetime]) -> list[UploadLine | Outgoing]:
    """Each spectrum of a night that counts: ready to be sent, or the line that says why not."""
    known = known_in(settings, night, clock=clock)
    spectra, errors = final_spectra(settings.paths.redux_root / night, known)
    found: list[UploadLine | Outgoing] = [
        UploadLine(product=given.split()[0], state="unfit", text=given) for given in errors
    ]
    for one in spectra:
        if why := why_not(one):
            found.append(UploadLine(product=one.product, state="not sent", text=why))
            continue
        try:
            found.append(outgoing(one))
        except Unfit as error:
            found.append(UploadLine(product=one.product, state="unfit", text=str(error)))
    return found


def settled(known: Delivery, spectrum: Outgoing, *, now: datetime, again: bool) -> UploadLine | None:
    """What to say of a spectrum that is not to be sent in this run; None if it is."""
    if known.state == SENT and known.beside == spectrum.beside:
        text = f"{known.changed:%Y-%m-%d %H:%M} UT: {known.receipt}"
        return UploadLine(product=spectrum.product, state=SENT, text=text)
    if known.state == WITHDRAWN and not again:
        text = f"{known.changed:%Y-%m-%d %H:%M} UT: {known.reason}; --again resends it"
        return UploadLine(product=spectrum.product, state="not sent", text=text)
    if known.state == REFUSED and not again:
        text = f"{known.changed:%Y-%m-%d %H:%M} UT: {known.reason}"
        return UploadLine(product=spectrum.product, state=REFUSED, text=text)
    if known.state == WAITING and not again and known.not_before is not None and known.not_before > now:
        text = f"not before {known.not_before:%Y-%m-%d %H:%M:%S} UT: {known.reason}"
        return UploadLine(product=spectrum.product, state=WAITING, text=text)
    return None


def newest_nights(settings: Settings) -> list[str]:
    """Nights that have a folder in the redux root, the newest last."""
    root = settings.paths.redux_root
    return sorted(path.name for path in root.iterdir() if is_night(path.name)) if root.is_dir() else []


def nights_due(settings: Settings, service: str, *, clock: Callable[[], datetime], read_only: bool = True) -> list[str]:
    """The newest night that has a folder, and those of which something still has to be sent."""
    nights = newest_nights(settings)
    with Deliveries.open(settings.paths.state, clock=clock, read_only=read_only) as queue:
        return sorted({*nights[-1:], *queue.open_nights(service)})


def write_report(settings: Settings, service: str, queue: Deliveries, night: str, lines: list[UploadLine]) -> None:
    """``report_ztf.txt``: what was uploaded, when and with which receipt, and what was not and why."""
    folder = settings.paths.redux_root / night
    if not folder.is_dir():
        return
    known = queue.of_night(service, night)
    when = {one.product: one.changed for one in known}
    rows = [
        f"{line.product:32} {line.state:9} "
        + (f"{when[line.product]:%Y-%m-%d %H:%M} UT: {line.text}" if line.fresh else line.text)
        for line in sorted(lines, key=lambda line: line.product)
    ]
    # what was sent of a product before it was remade, or before it was graded down
    values = {line.product: line.text for line in lines}
    older = [
        f"{one.product:32} {'earlier':9} {one.changed:%Y-%m-%d %H:%M} UT: {one.receipt}"
        for one in known
        if one.state == SENT and one.receipt not in values.get(one.product, "")
    ]
    counts = {state: sum(line.state == state for line in lines) for state in (SENT, REFUSED, WAITING, QUEUED, "unfit")}
    summary = ", ".join(f"{count} {state}" for state, count in counts.items() if count or state == SENT)
    text = "\n".join([f"night {night} to {service}: {summary}", "", *rows, *older, ""])
    text = "\n".join(_wrapped(line) for line in text.split("\n"))
    path = folder / REPORT
    with suppress(OSError):
        if text_of(path) == text:
            return
    write_bytes_atomic(text.encode(), path)


def _wrapped(line: str) -> str:
    indent = " " * 43
    return textwrap.fill(
        line, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
