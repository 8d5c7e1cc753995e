"""The command `alert`: what needs action is reported, once."""

from __future__ import annotations

import argparse
import subprocess

from sedmd.commands.common import Add, add_where, settings_of, utc_now


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("alert", verb_alert)
    command.add_argument("--failed", metavar="UNIT", default="", help="a unit that systemd gave up")
    command.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    add_where(command)


def verb_alert(options: argparse.Namespace) -> int:
    """Report, once, what needs action: by mail, or by [mail] alert_command.

    A service that is away or restarts again and again, a full disk, no calibrations an hour after sunset, a night that
    ended with frames that are not used.
    """
    from sedmd.after.deliver.alert import find_alerts, send_alerts

    settings = settings_of(options)
    found = find_alerts(settings, now=utc_now(), failed=options.failed, restarts=_restarts())
    sent = found if options.dry_run else send_alerts(settings, found, clock=utc_now)
    for one in sent:
        print(f"{one.kind}: {one.text}")
    print(f"{len(found)} alerts, {0 if options.dry_run else len(sent)} sent now")
    return 0


def _restarts() -> int:
    """How often systemd started the service again; 0 where there is no systemd."""
    command = ["systemctl", "show", "sedmd.service", "--property=NRestarts", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(text) if (text := done.stdout.strip()).isdecimal() else 0
