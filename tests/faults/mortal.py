"""The service for a small detector that kills itself with SIGKILL at a chosen point: `MORTAL="before commit:17"`.

Points: before commit, after commit (of the ledger), within journal (half a line is written), before unlink, at rename.
"""

import os
import signal
import sqlite3
import sys


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Dies when it was called so often."""

    def __init__(self, text: str) -> None:
        self.point, _, count = text.rpartition(":")
        self.left = int(count)

    def at(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                die()

    def next_at(self, point: str) -> bool:
        """The next call at this point would be the last."""
        return point == self.point and self.left == 1


def arm(countdown: Countdown) -> None:
    """Put the countdown into the ledger and its journal."""
    import sedmd.ledger.journal
    import sedmd.ledger.sqlite

    class Mortal(sqlite3.Connection):
        def execute(self, sql, *given):
            if sql == "COMMIT":
                countdown.at("before commit")
            answer = super().execute(sql, *given)
            if sql == "COMMIT":
                countdown.at("after commit")
            return answer

    real_connect = sqlite3.connect
    sqlite3.connect = lambda *given, **more: real_connect(*given, factory=Mortal, **more)
    real_write = sedmd.ledger.journal.Journal.write

    def write(self, night, what, **values):
        if countdown.next_at("within journal"):
            with (self._redux_root / night / sedmd.ledger.journal.NAME).open("ab") as file:
                file.write(b'{"what":"job","key":"torn')
        countdown.at("within journal")
        real_write(self, night, what, **values)

    sedmd.ledger.journal.Journal.write = write


if __name__ == "__main__":
    # workers import this module too, and need none of it
    from night.raw_night import SHAPE

    import sedmd.run.ingest
    from sedmd.cli import main

    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    if os.environ.get("MORTAL"):
        arm(Countdown(os.environ["MORTAL"]))
    sys.exit(main())
