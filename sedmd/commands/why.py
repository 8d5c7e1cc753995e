"""The command `why`: the history of a frame or target."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, add_where, settings_of, utc_now
from sedmd.raw.rawname import stem_of


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("why", verb_why)
    command.add_argument("subject", metavar="FRAME|TARGET", help="file name, its time stamp, or a target's name")
    add_where(command)


def verb_why(options: argparse.Namespace) -> int:
    """Show the whole history of a frame or target, one event a line, and which cards of a frame are corrected."""
    from sedmd.ledger.ledger import Ledger
    from sedmd.run.ingest import night_by_name

    settings = settings_of(options)
    subject = stem_of(options.subject)
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        story = ledger.events.story(subject)
        mends = [mend for mend in ledger.marks.mends(night_by_name(Path(subject))) if mend.covers(subject)]
    for when, night, name, text in story:
        print(f"{when[:19].replace('T', ' ')} UT  {night:8}  {name:40} {text}")
    for mend in mends:
        given = f"for {mend.scope} by {mend.who}, {mend.time[:16].replace('T', ' ')} UT"
        print(f"in force: {mend.describe()} ({given}); sedmd mend {mend.scope} --undo {mend.card} takes it back")
    if not story:
        print(f"nothing is known of {subject!r}; see sedmd status for the names in the ledger")
        return 1
    return 0
