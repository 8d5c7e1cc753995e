"""The command `status`: how a night stands."""

from __future__ import annotations

import argparse
import json
import time

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now

#: Seconds between two looks of `status --watch`.
WATCH_S = 2.0


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("status", verb_status)
    add_where(command)
    command.add_argument("--night", type=night_argument, help="this UT night (default: the newest)")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument("--watch", action="store_true", help=f"show it again every {WATCH_S:g} s until Ctrl-C")


def verb_status(options: argparse.Namespace) -> int:
    """Show a night: calibrations, targets, queue, what waits and why; works without the service."""
    from sedmd.run.status import snapshot
    from sedmd.run.status_json import to_json
    from sedmd.run.status_text import render

    settings = settings_of(options)
    while True:
        state = snapshot(settings, night=options.night, now=utc_now())
        text = json.dumps(to_json(state), indent=2) if options.json else render(state)
        if not options.watch:
            print(text)
            return 0
        # home, then clear to the end of each line and of the screen: no flicker
        print("\033[H" + text.replace("\n", "\033[K\n") + "\033[K\033[J", flush=True)
        time.sleep(WATCH_S)
