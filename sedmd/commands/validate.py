"""The command `validate`: products of a simulated night against its truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, night_argument


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("validate", verb_validate)
    command.add_argument("truth", metavar="TRUTH", type=Path, help="OUT/truth, as `simulate` wrote it")
    command.add_argument("redux", metavar="REDUX", type=Path, help="the redux root, or the directory of one night")
    command.add_argument("--night", type=night_argument, help="UT night (default: the only one below REDUX)")


def verb_validate(options: argparse.Namespace) -> int:
    """Compare the products of a simulated night with its truth, stage by stage."""
    from sedmd.simulate.score import products_of, score_night
    from sedmd.simulate.score_table import compare, decides

    folder = products_of(options.redux, options.night)
    rows = score_night(options.truth, folder)
    print(compare(rows))
    missed = [row for row in rows if not row.passed]
    deciding = [row for row in missed if decides(row)]
    print(f"\n{len(rows)} figures: {len(rows) - len(missed)} as required, {len(missed)} not")
    for row in deciding:
        print(f"NOT as required: {row.what} {row.where}")
    return 1 if deciding else 0
