"""The command `final-report`: the night's report by mail."""

from __future__ import annotations

import argparse
import sys

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("final-report", verb_final_report)
    command.add_argument("night", metavar="NIGHT", nargs="?", type=night_argument, help="default: the newest")
    command.add_argument("--dry-run", action="store_true", help="only show the mail")
    command.add_argument("--again", action="store_true", help="resend it although it was sent")
    add_where(command)


def verb_final_report(options: argparse.Namespace) -> int:
    """Mail the night's report with its plots to the team, once; --dry-run shows it.

    Takes report.txt, else night.txt, else the state of the night. Off unless [mail] host is set.
    """
    from sedmd.after.deliver.final_report import preview, send_final_report
    from sedmd.after.deliver.smtp import MailRefused

    settings = settings_of(options)
    night = options.night or _newest(settings)
    if options.dry_run:
        print("\n".join(preview(settings, night, clock=utc_now)))
        return 0
    try:
        outcome = send_final_report(settings, night, clock=utc_now, again=options.again)
    except MailRefused as error:
        print(f"sedmd: final report of {night} refused: {error}", file=sys.stderr)
        return 1
    print(f"final report of {night}: {outcome.text}")
    for refused in outcome.refused:
        print(f"refused: {refused}")
    return int(bool(outcome.refused))


def _newest(settings: Settings) -> str:
    from sedmd.after.deliver.upload import newest_nights

    nights = newest_nights(settings)
    if not nights:
        raise ConfigError(f"{settings.paths.redux_root} holds no night; expected directories YYYYMMDD")
    return nights[-1]
