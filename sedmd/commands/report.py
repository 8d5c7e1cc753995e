"""The command `report`: a night's report, printed and beside its products."""

from __future__ import annotations

import argparse
import sys

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now, writing


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("report", verb_report)
    command.add_argument("night", nargs="?", type=night_argument, help="UT night (default: the newest)")
    add_where(command)
    command.add_argument("--json", action="store_true", help="print it for programs")
    command.add_argument("--dry-run", action="store_true", help="print it and write nothing")


def verb_report(options: argparse.Namespace) -> int:
    """Print a night's report, and write it beside the products as report.txt and report.json.

    Made from ledger and products as they are now: the same state gives the same bytes.
    """
    from sedmd.after.report.night_state import look, write_report
    from sedmd.after.report.reporttext import report_json, report_text

    settings = settings_of(options)
    report = look(settings, night=options.night, now=utc_now()).report
    print(report_json(report) if options.json else report_text(report), end="")
    if options.dry_run:
        return 0
    with writing("the report"):
        changed = write_report(report, settings.paths.redux_root / report.night)
    text = f"written: {', '.join(map(str, changed))}" if changed else "report.txt and report.json were up to date"
    print(text, file=sys.stderr)
    return 0
