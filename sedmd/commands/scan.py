"""The command `scan`: a night's raw directories looked at on request."""

from __future__ import annotations

import argparse

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now
from sedmd.commands.leave_request import leave_request


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("scan", verb_scan)
    command.add_argument("night", metavar="NIGHT", type=night_argument)
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    add_where(command)


def verb_scan(options: argparse.Namespace) -> int:
    """Look at a night's raw directories, an old one too; with --dry-run only say what would be done."""
    settings = settings_of(options)
    if options.dry_run:
        from sedmd.run.dry_run import preview_night

        print(preview_night(settings, options.night, now=utc_now()))
        return 0
    options.subject = options.night
    return leave_request("scan", options)
