"""Classification, report and web page of a night while it goes on, by their own commands in a separate process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from sedmd.core.config import Settings
from sedmd.run.event_log import WARNING, EventLog

#: A command that takes longer is stopped; classifying a night of spectra takes minutes.
MOST_S = 1800.0
#: Exit codes that need no word: done, nothing to tell yet, not now.
QUIET_CODES = (0, 2, 75)


class Chores:
    """Runs the commands one after the other, some time after something changed, and never two at once.

    The commands are those that people give: what they make is the same, and what they do to their process (memory of
    plots, a classifier that dies) does not reach the service.

    Parameters
    ----------
    config : Path or None
        The service's configuration file; without one the commands go by the settings that it left.
    monotonic : callable
        Seconds.
    program : sequence of str
        What comes before a command's name.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        config: Path | None,
        report: EventLog,
        monotonic: Callable[[], float] = time.monotonic,
        program: Sequence[str] = (sys.executable, "-m", "sedmd"),
    ) -> None:
        self.settings = settings
        self._where = ("--config", str(config)) if config else ("--redux", str(settings.paths.redux_root))
        self._report = report
        self._monotonic = monotonic
        self._program = tuple(program)
        self._due_s: float | None = None
        self._left: list[str] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._begun_s = 0.0
        self._name = ""

    def changed(self) -> None:
        """Something of a night is new: it is published after `every_s`, with all that comes until then."""
        if self.settings.after.every_s > 0 and self._due_s is None:
            self._due_s = self._monotonic() + self.settings.after.every_s

    def tick(self) -> None:
        """See to the command that runs, or begin the next one; returns at once."""
        now = self._monotonic()
        if self._child is not None:
            if self._child.poll() is None:
                if now - self._begun_s < MOST_S:
                    return
                self._kill()
            self._end(self._child.returncode)
        if not self._left and self._due_s is not None and now >= self._due_s:
            self._due_s = None
            self._left = wanted(self.settings)
        if self._left:
            self._begin(self._left.pop(0))

    def stop(self) -> None:
        """Stop the command that runs; the next service makes what is missing."""
        if self._child is not None:
            self._kill()
            self._child = None
        if self._said is not None:
            self._said.close()

    def _begin(self, name: str) -> None:
        self._name, self._begun_s = name, self._monotonic()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed when the command has ended
        try:
            # a group of its own: a classifier's children die with it
            self._child = subprocess.Popen(
                [*self._program, name, *self._where],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                process_group=0,
            )
        except OSError as error:
            self._said.close()
            self._report.event("", "after", name, f"cannot be run: {error}", level=WARNING)

    def _end(self, code: int) -> None:
        self._child = None
        said = self._said
        assert said is not None
        with said:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
        if code not in QUIET_CODES:
            how = f"stopped by signal {-code}" if code < 0 else f"exit code {code}"
            self._report.event("", "after", self._name, f"{how}: {last or 'no output'}", level=WARNING)

    def _kill(self) -> None:
        assert self._child is not None
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def wanted(settings: Settings) -> list[str]:
    """The commands that the configuration asks for, in their order: a type goes into report and page."""
    names = ["classify"] if settings.classify.engine not in ("auto", "none") else []
    return [*names, "report", *(["publish"] if settings.web.root is not None else [])]
