"""Commands that act on purpose: each leaves a request that the service carries out, or is carried out at once."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import time
from collections.abc import Callable

from sedmd.commands.common import add_where, night_argument, settings_of, utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError
from sedmd.raw.mends import parse_card, scope_of

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

    command = add("mend", verb_mend)
    command.add_argument("subject", metavar="FRAME|FIRST..LAST|NIGHT", nargs="?", help="what is corrected")
    command.add_argument("cards", metavar="CARD=VALUE", nargs="*", help="as FITS has it; CARD=- takes the card out")
    command.add_argument("--undo", metavar="CARD", nargs="*", help="take corrections back (default: all)")
    command.add_argument("--list", metavar="NIGHT", nargs="?", const="", help="tell what is corrected; changes nothing")
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


def verb_mend(options: argparse.Namespace) -> int:
    """Correct cards of raw headers for the reduction; the files are not touched.

    The frame is read again, and all that rests on it is made anew. A correction of a night or range holds for frames
    that come later too; of several corrections of a card the last one counts. Values are written as FITS has them: T
    or F, a number, or text, in quotes where it looks like one of them.
    """
    if options.list is not None:
        return _list_mends(settings_of(options), options.list)
    if not options.subject or bool(options.cards) == (options.undo is not None):
        msg = "mend needs FRAME CARD=VALUE, FRAME --undo, or --list"
        raise ConfigError(msg)
    options.subject, options.night = scope_of(options.subject), None
    if options.undo is not None:
        given: dict[str, object] = {"undo": [card.upper() for card in options.undo]}
    else:
        given = {"cards": dict(parse_card(text) for text in options.cards)}
    return _ask("mend", options, json.dumps(given))


def _list_mends(settings: Settings, night: str) -> int:
    from sedmd.ledger.ledger import Ledger
    from sedmd.ledger.requests_and_decisions import MEND

    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        found = [(one, mend) for one in sorted(ledger.nights_marked(MEND)) for mend in ledger.mends(one)]
    for when, mend in found:
        if night in ("", when):
            print(f"{when}  {mend.scope:44} {mend.describe():40} {mend.who}, {mend.time[:16].replace('T', ' ')} UT")
    if not any(night in ("", when) for when, _ in found):
        print(f"no card is corrected{f' in night {night}' if night else ''}")
    return 0


def verb_scan(options: argparse.Namespace) -> int:
    """Look at a night's raw directories, an old one too; with --dry-run only say what would be done."""
    settings = settings_of(options)
    if options.dry_run:
        from sedmd.run.dry_run import preview_night

        print(preview_night(settings, options.night, now=utc_now()))
        return 0
    options.subject = options.night
    return _ask("scan", options)


def _ask(verb: str, options: argparse.Namespace, cards: str = "") -> int:
    """Leave the request, see that it is carried out, print the answer."""
    from sedmd.host.doorbell import ring
    from sedmd.host.lock import holder
    from sedmd.ledger.ledger import Ledger

    settings = settings_of(options)
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        msg = f"no ledger {path}; nothing was reduced to {settings.paths.redux_root} yet"
        raise ConfigError(msg)
    with Ledger.open(path, clock=utc_now) as ledger:
        number = ledger.ask(verb, options.night or "", options.subject, _who(), cards)
    process = holder(settings.paths.state)
    if process is None:
        _carry_out_here(settings)
    else:
        ring(settings.paths.state, number)  # it need not wait for its next scan
    until = time.monotonic() + PATIENCE_S
    answer = None
    with Ledger.open(path, clock=utc_now, read_only=True) as ledger:
        while (answer := ledger.answer_to(number)) is None and time.monotonic() < until:
            time.sleep(0.1)
    who = f"process {process}" if process is not None and process > 0 else "the service"
    print(answer or f"noted; {who} will do it when it can")
    if process is None and answer and not answer.startswith("refused"):
        print("No service is running: the work is done by the next sedmd run or sedmd reduce.")
    return int(bool(answer and answer.startswith("refused")))


def _carry_out_here(settings: Settings) -> None:
    """No service is there: take the lock and carry out what is asked."""
    import io

    from sedmd.host.claim import claimed
    from sedmd.host.lock import single_instance
    from sedmd.ledger.journal import Journal
    from sedmd.ledger.ledger import Ledger
    from sedmd.run.dispatch import Dispatcher
    from sedmd.run.event_log import Report
    from sedmd.run.requests import carry_out
    from sedmd.workers.engines import InlineEngine

    with (
        single_instance(settings.paths.state),
        claimed(settings.paths.redux_root, settings.paths.state, now=utc_now()),
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
