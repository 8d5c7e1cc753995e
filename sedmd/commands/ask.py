"""Commands that ask and change nothing: status, why, verify, config, doctor. All work without a service."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from sedmd.commands.common import add_where, night_argument, settings_of, utc_now
from sedmd.core.config import load, show
from sedmd.core.errors import ConfigError
from sedmd.raw.rawname import stem_of

Add = Callable[..., argparse.ArgumentParser]
#: Kinds of targets, as `sedmd targets` tells them apart.
GROUPS = ("science", "other", "standard")
#: Seconds between two looks of `status --watch`.
WATCH_S = 2.0


def add_to(add: Add) -> None:
    """Add these commands to the program."""
    command = add("status", verb_status)
    add_where(command)
    command.add_argument("--night", type=night_argument, help="this UT night (default: the newest)")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument("--watch", action="store_true", help=f"show it again every {WATCH_S:g} s until Ctrl-C")

    command = add("targets", verb_targets)
    command.add_argument("group", nargs="?", default="all", choices=("all", *GROUPS))
    add_where(command)
    command.add_argument("--night", type=night_argument, help="this UT night (default: the newest)")

    command = add("why", verb_why)
    command.add_argument("subject", metavar="FRAME|TARGET", help="file name, its time stamp, or a target's name")
    add_where(command)

    command = add("doctor", verb_doctor)
    add_where(command)
    command.add_argument(
        "--rebuild", action="store_true", help="make the ledger again from the journals beside the products"
    )

    command = add("verify", verb_verify)
    command.add_argument("night", nargs="?", type=night_argument, help="this UT night (default: every night)")
    add_where(command)
    command.add_argument("--all", action="store_true", help="a line for each file, the good ones too")

    command = add("config", verb_config)
    command.add_argument("action", choices=("check", "show"))
    command.add_argument("--config", type=Path, required=True)


def verb_status(options: argparse.Namespace) -> int:
    """Show a night: calibrations, targets, queue, what waits and why; works without the service."""
    from sedmd.run.status import render, snapshot

    settings = settings_of(options)
    while True:
        state = snapshot(settings, night=options.night, now=utc_now())
        text = json.dumps(state, indent=2) if options.json else render(state)
        if not options.watch:
            print(text)
            return 0
        # home, then clear to the end of each line and of the screen: no flicker
        print("\033[H" + text.replace("\n", "\033[K\n") + "\033[K\033[J", flush=True)
        time.sleep(WATCH_S)


def verb_targets(options: argparse.Namespace) -> int:
    """List the targets of a night: science (all but standard stars), other (those not of the survey), standard."""
    from sedmd.run.status import group_of, snapshot

    state = snapshot(settings_of(options), night=options.night, now=utc_now())
    for target in state["targets"]:
        group = group_of(target)
        if options.group in ("all", group) or (options.group == "science" and group == "other"):
            print(f"{target['name']:40} {group:9} {target['state']:20} {target['reason']}".rstrip())
    return 0


def verb_why(options: argparse.Namespace) -> int:
    """Tell the whole story of a frame or target, one event a line, and which cards of a frame are corrected."""
    from sedmd.ledger.ledger import Ledger
    from sedmd.run.ingest import night_by_name

    settings = settings_of(options)
    subject = stem_of(options.subject)
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        story = ledger.story(subject)
        mends = [mend for mend in ledger.mends(night_by_name(Path(subject))) if mend.covers(subject)]
    for when, night, name, text in story:
        print(f"{when[:19].replace('T', ' ')} UT  {night:8}  {name:40} {text}")
    for mend in mends:
        given = f"for {mend.scope} by {mend.who}, {mend.time[:16].replace('T', ' ')} UT"
        print(f"in force: {mend.describe()} ({given}); sedmd mend {mend.scope} --undo {mend.card} takes it back")
    if not story:
        print(f"nothing is known of {subject!r}; see sedmd status for the names in the ledger")
        return 1
    return 0


def verb_doctor(options: argparse.Namespace) -> int:
    """Check mounts, rights, disks, clock, libraries, configuration and ledger, and say what to do.

    With --rebuild a damaged ledger is put aside and made again from the journals; the service must be stopped.
    """
    from sedmd.doctor import Environment, examine, render
    from sedmd.ledger.rebuild import rebuild

    settings = settings_of(options)
    if options.rebuild:
        print(rebuild(settings, clock=utc_now))
    findings = examine(settings, environment=Environment(free_limit_bytes=settings.disk.min_free_mb * 1_000_000))
    print(render(findings))
    return int(any(finding.level == "error" for finding in findings))


def verb_verify(options: argparse.Namespace) -> int:
    """Compare every product with its checksum and every raw file with the ledger; nothing is changed.

    Exit code 1: a file is missing, was changed, or cannot be read. What neither ledger nor decision knows is listed.
    """
    from sedmd.ledger.ledger import Ledger
    from sedmd.run.verify import GOOD, HARMLESS, Finding, summary, verify_night

    settings = settings_of(options)
    found: list[Finding] = []
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        nights = [options.night] if options.night else ledger.nights()
        if options.night and options.night not in ledger.nights():
            msg = f"the ledger knows no night {options.night}; sedmd status shows the newest"
            raise ConfigError(msg)
        for night in nights:
            for finding in verify_night(settings, ledger, night, now=utc_now()):
                found.append(finding)
                if options.all or finding.state != GOOD:
                    print(finding.line(), flush=True)
    print(summary(found))
    return int(any(finding.state not in HARMLESS for finding in found))


def verb_config(options: argparse.Namespace) -> int:
    """Check a configuration file, or show every setting with its origin."""
    from sedmd.daemon.health import check_listen

    settings = load(options.config)
    if settings.health.listen:
        check_listen(settings.health.listen)
    if options.action == "show":
        print(show(settings))
    else:
        print(f"{options.config}: good")
    return 0
