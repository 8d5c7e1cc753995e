"""Commands that act on purpose: each leaves a request that the service carries out, or is carried out at once."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from sedmd.commands.common import add_where, night_argument, settings_of, utc_now
from sedmd.config import Settings
from sedmd.errors import ConfigError

Add = Callable[..., argparse.ArgumentParser]
#: How long a command waits for the service's answer, seconds.
PATIENCE_S = 15.0


def add_to(add: Add) -> None:
    """Add these commands to the program."""
    for name, verb, what in (
        ("redo", verb_redo, "NIGHT|TARGET|FRAME|STEP"),
        ("retry", verb_retry, "NIGHT|TARGET|FRAME|STEP"),
        ("forget", verb_forget, "FRAME"),
        ("hold", verb_hold, "NIGHT|TARGET|FRAME|STEP"),
        ("release", verb_release, "NIGHT|TARGET|FRAME|STEP"),
        ("accept", verb_accept, "NIGHT"),
    ):
        command = add(name, verb)
        command.add_argument("subject", metavar=what, type=night_argument if what == "NIGHT" else str)
        command.add_argument("--night", type=night_argument, help="in this night (default: the newest)")
        add_where(command)

    command = add("scan", verb_scan)
    command.add_argument("night", metavar="NIGHT", type=night_argument)
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    add_where(command)


def verb_redo(options: argparse.Namespace) -> int:
    """Do jobs again, and all that rests on them, with the best calibrations that there are by now."""
    return _ask("redo", options)


def verb_retry(options: argparse.Namespace) -> int:
    """Try again what failed or was quarantined; take back a frame that was left out."""
    return _ask("retry", options)


def verb_forget(options: argparse.Namespace) -> int:
    """Leave a raw frame out, as if it had never come; the file is not touched."""
    return _ask("forget", options)


def verb_hold(options: argparse.Namespace) -> int:
    """Begin no jobs of this name until they are released."""
    return _ask("hold", options)


def verb_release(options: argparse.Namespace) -> int:
    """Let held jobs begin."""
    return _ask("release", options)


def verb_accept(options: argparse.Namespace) -> int:
    """Take a night's calibrations although they depart from the night before: the instrument was changed."""
    options.night = options.subject
    return _ask("accept", options)


def verb_scan(options: argparse.Namespace) -> int:
    """Look at a night's raw directories, an old one too; with --dry-run only say what would be done."""
    settings = settings_of(options)
    if options.dry_run:
        from sedmd.rehearse import rehearse

        print(rehearse(settings, options.night, now=utc_now()))
        return 0
    options.subject = options.night
    return _ask("scan", options)


def _ask(verb: str, options: argparse.Namespace) -> int:
    """Leave the request, see that it is carried out, print the answer."""
    from sedmd.ledger import Ledger
    from sedmd.lock import holder

    settings = settings_of(options)
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        msg = f"no ledger {path}; nothing was reduced to {settings.paths.redux_root} yet"
        raise ConfigError(msg)
    with Ledger.open(path, clock=utc_now) as ledger:
        number = ledger.ask(verb, options.night or "", options.subject, _who())
    process = holder(settings.paths.state)
    if process is None:
        _carry_out_here(settings)
    elif process > 0:
        with suppress(PermissionError, ProcessLookupError):
            os.kill(process, signal.SIGUSR1)  # it need not wait for its next scan
    until = time.monotonic() + PATIENCE_S
    answer = None
    with Ledger.open(path, clock=utc_now, read_only=True) as ledger:
        while (answer := ledger.answer_to(number)) is None and time.monotonic() < until:
            time.sleep(0.1)
    print(answer or f"noted; process {process} will do it when it can")
    if process is None and answer and not answer.startswith("refused"):
        print("No service is running: the work is done by the next sedmd run or sedmd reduce.")
    return int(bool(answer and answer.startswith("refused")))


def _carry_out_here(settings: Settings) -> None:
    """No service is there: take the lock and carry out what is asked."""
    import io

    from sedmd.dispatch import Dispatcher
    from sedmd.engines import InlineEngine
    from sedmd.journal import Journal
    from sedmd.ledger import Ledger
    from sedmd.lock import single_instance
    from sedmd.report import Report
    from sedmd.requests import carry_out

    with (
        single_instance(settings.paths.state),
        Ledger.open(
            settings.paths.state / "ledger.sqlite", clock=utc_now, journal=Journal(settings.paths.redux_root)
        ) as ledger,
    ):
        dispatcher = Dispatcher(
            settings=settings,
            ledger=ledger,
            engine=InlineEngine(settings.jobs.steps_module),
            clock=utc_now,
            report=Report(clock=utc_now, stream=io.StringIO()),
            on_done=lambda key, job, future: None,
        )
        for request in ledger.requests():
            ledger.answer(request.number, carry_out(request, ledger, dispatcher))


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"
