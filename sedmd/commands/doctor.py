"""The command `doctor`: what is wrong on this machine, and what to do."""

from __future__ import annotations

import argparse

from sedmd.commands.common import Add, add_where, settings_of, utc_now


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("doctor", verb_doctor)
    add_where(command)
    command.add_argument(
        "--rebuild", action="store_true", help="make the ledger again from the journals beside the products"
    )


def verb_doctor(options: argparse.Namespace) -> int:
    """Check mounts, rights, disks, clock, libraries, configuration and ledger, and say what to do.

    With --rebuild a damaged ledger is renamed and made again from the journals; the service must be stopped.
    """
    from sedmd.doctor import Environment, examine, render
    from sedmd.ledger.rebuild import rebuild

    settings = settings_of(options)
    if options.rebuild:
        print(rebuild(settings, clock=utc_now))
    findings = examine(settings, environment=Environment(free_limit_bytes=settings.disk.min_free_mb * 1_000_000))
    print(render(findings))
    return int(any(finding.level == "error" for finding in findings))
