"""What an operator reads: one event, one line; UT, night, step, subject, figures, seconds.

Not by `logging`: the time is that of the service's clock, which a test sets and a record of `logging` has not; a line
goes to the file of its own night, which is opened for each line, as nights come and go, belong to others, or lie on a
disk that is full or away, and none of that may stop the work or lose the line on the stream; and each service in a
process has its own report, where loggers are one for all. What other libraries log goes its own way.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from sedmd.core.job import Job, Outcome
from sedmd.core.memory_figures import UNSEEN
from sedmd.core.quality import PROVISIONAL
from sedmd.host.foreign_file import open_to_append, plain
from sedmd.host.sharing import not_ours

#: syslog levels, for journald's ``<N>`` prefix
ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
LEVELS = {ERROR: "error", WARNING: "warning", NOTICE: "notice", INFO: "info"}


class EventLog:
    """Writes events to a stream and to ``redux/NIGHT/sedmd.log``.

    Parameters
    ----------
    clock : callable
        The time now, UTC.
    redux_root : Path or None
        Where the nights' log files go; None writes none.
    stream : text stream or None
        Usually standard error; None keeps it quiet.
    journal : bool
        Prefix lines with their level for systemd's journal; by default when standard error is the journal.
    as_json : bool
        One JSON object a line on the stream: time, level, night, step, subject, text. The nights' files stay text.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        redux_root: Path | None = None,
        stream: TextIO | None = sys.stderr,
        journal: bool | None = None,
        verbose: bool = False,
        as_json: bool = False,
    ) -> None:
        self._clock = clock
        self._redux_root = redux_root
        self._stream = stream
        self._journal = "JOURNAL_STREAM" in os.environ if journal is None else journal
        self._verbose = verbose
        self._as_json = as_json
        self._not_ours: set[Path] = set()

    def event(self, night: str, step: str, subject: str, text: str, *, level: int = INFO, minor: bool = False) -> None:
        """Write one line; a minor one goes to the night's file only, unless this report is verbose."""
        now = self._clock()
        subject, text = plain(subject), plain(text)  # a file's name may hold what would be another line
        line = f"{now:%Y-%m-%d %H:%M:%S} UT  {night or '-':8}  {step:10} {subject:44} {text}".rstrip()
        if self._stream is not None and (not minor or self._verbose):
            given = line
            if self._as_json:
                values = {"level": LEVELS[level], "night": night, "step": step, "subject": subject, "text": text}
                given = json.dumps({"time": now.isoformat(timespec="milliseconds"), **values})
            with suppress(OSError):  # nobody reads any more, or the disk behind it is full: the work goes on
                print(f"<{level}>{given}" if self._journal else given, file=self._stream, flush=True)
        if self._redux_root is not None and night:
            # a full or missing log disk must not stop the reduction; the line went to the stream already
            path = self._redux_root / night / "sedmd.log"
            try:
                path.parent.mkdir(
                    exist_ok=True
                )  # not its parents: a redux root that is not mounted must not be created
                with open_to_append(path) as file:
                    file.write(f"{line}\n".encode())
            except PermissionError:
                if path not in self._not_ours:
                    self._not_ours.add(path)
                    self.event("", "log", night, f"not written: {not_ours(path) or path}", level=WARNING)
            except OSError:
                pass
            else:
                self._not_ours.discard(path)

    def started(self, job: Job) -> None:
        """A job was handed to a worker."""
        self.event(job.night, job.step, job.label, "begins", minor=True)

    def job(self, job: Job, outcome: Outcome, state: str) -> None:
        """A job ended."""
        if state == "done":
            shown = {name: value for name, value in outcome.figures.items() if name != PROVISIONAL}
            self.event(job.night, job.step, job.label, f"done in {outcome.seconds:.1f} s  {figures(shown)}")
            if why := outcome.figures.get(PROVISIONAL):
                text = f"provisional spectrum, awaiting observer: {job.label}: {why}"
                self.event(job.night, job.step, job.label, text, level=NOTICE)
        elif state == "awaiting observer":
            self.event(job.night, job.step, job.label, f"awaiting observer: {outcome.reason}", level=NOTICE)
        else:
            level = WARNING if state in ("retry", "quarantined") else ERROR
            self.event(job.night, job.step, job.label, f"{state}: {outcome.reason}", level=level)
            for line in outcome.detail.splitlines():
                self.event(job.night, job.step, job.label, f"  | {line}", minor=True)
        for warning in outcome.warnings:
            self.event(job.night, job.step, job.label, f"warning: {warning}", level=WARNING)


def figures(values: Mapping[str, object]) -> str:
    """``name=value`` for each figure, floats with four significant digits."""
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
        if name not in UNSEEN
    )
