"""A request to the service, carried out by it, or here at once when none runs."""

from __future__ import annotations

import argparse
import getpass
import os
import time

from sedmd.commands.at_work import sole_ledger
from sedmd.commands.common import settings_of, utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError

#: How long a command waits for the service's answer, seconds.
PATIENCE_S = 15.0


def leave_request(verb: str, options: argparse.Namespace, cards: str = "") -> int:
    """Leave a request in the ledger, see that it is carried out, print the answer.

    Parameters
    ----------
    verb : str
        One of those that `sedmd.run.requests.carry_out` knows.
    options : argparse.Namespace
        `config` or `redux`, `night` or None, `subject`.
    cards : str
        Corrections of header cards as JSON, for "mend".

    Returns
    -------
    int
        The exit code: 1 if the request was refused.

    Raises
    ------
    ConfigError
        If there is no ledger yet.
    """
    from sedmd.host.doorbell import ring
    from sedmd.host.lock import holder
    from sedmd.ledger.ledger import Ledger

    settings = settings_of(options)
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        msg = f"no ledger {path}; nothing was reduced to {settings.paths.redux_root} yet"
        raise ConfigError(msg)
    with Ledger.open(path, clock=utc_now) as ledger:
        number = ledger.requests.ask(verb, options.night or "", options.subject, _who(), cards)
    process = holder(settings.paths.state)
    if process is None:
        _carry_out_here(settings)
    else:
        ring(settings.paths.state, number)  # it need not wait for its next scan
    until = time.monotonic() + PATIENCE_S
    answer = None
    with Ledger.open(path, clock=utc_now, read_only=True) as ledger:
        while (answer := ledger.requests.answer_to(number)) is None and time.monotonic() < until:
            time.sleep(0.1)
    who = f"process {process}" if process is not None and process > 0 else "the service"
    print(answer or f"noted; {who} will do it when it can")
    if process is None and answer and not answer.startswith("refused"):
        print("No service is running: the work is done by the next sedmd run or sedmd reduce.")
    return int(bool(answer and answer.startswith("refused")))


def _carry_out_here(settings: Settings) -> None:
    """No service is there: take the lock and carry out what is asked."""
    import io

    from sedmd.run.dispatch import Dispatcher
    from sedmd.run.event_log import EventLog
    from sedmd.run.requests import carry_out
    from sedmd.workers.engines import InlineEngine

    with sole_ledger(settings) as ledger:
        dispatcher = Dispatcher(
            settings=settings,
            ledger=ledger,
            engine=InlineEngine(settings.jobs.steps_module),
            clock=utc_now,
            report=EventLog(clock=utc_now, stream=io.StringIO()),
            on_done=lambda key, job, future: None,
        )
        for request in ledger.requests.open():
            ledger.requests.answer(request.number, carry_out(request, ledger, dispatcher))


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"
