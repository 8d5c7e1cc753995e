"""The command `targets`: the targets of a night by group."""

from __future__ import annotations

import argparse

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now

#: Kinds of targets, as `sedmd targets` tells them apart.
GROUPS = ("science", "other", "standard")


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("targets", verb_targets)
    command.add_argument("group", nargs="?", default="all", choices=("all", *GROUPS))
    add_where(command)
    command.add_argument("--night", type=night_argument, help="this UT night (default: the newest)")


def verb_targets(options: argparse.Namespace) -> int:
    """List the targets of a night: science (all but standard stars), other (those not of the survey), standard."""
    from sedmd.run.status import snapshot

    state = snapshot(settings_of(options), night=options.night, now=utc_now())
    for target in state.targets:
        if options.group in ("all", target.group) or (options.group == "science" and target.group == "other"):
            print(f"{target.name:40} {target.group:9} {target.stage:20} {target.reason}".rstrip())
    return 0
