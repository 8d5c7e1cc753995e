"""The command `simulate`: a simulated raw night with its truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sedmd.commands.bar import Bar
from sedmd.commands.common import Add, night_argument, positive_argument


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("simulate", verb_simulate)
    command.add_argument("out", metavar="OUT", type=Path, help="gets raw/YYYYMMDD/ and truth/")
    command.add_argument("--night", type=night_argument, help="UT night (default: an example of the profile)")
    command.add_argument("--workers", type=positive_argument, default=1, help="processes that render (default 1)")
    command.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    command.add_argument("--instrument", metavar="SEED", type=int, help="seed of the instrument (default: the night's)")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--mini", dest="size", action="store_const", const="mini", help="a small night (default)")
    size.add_argument("--full", dest="size", action="store_const", const="full", help="a whole night")
    size.add_argument("--least", dest="size", action="store_const", const="least", help="one standard and one target")
    command.add_argument("--profile", help="hardware epoch (default: that of the night, else the present one)")
    command.add_argument(
        "--rc",
        metavar="N",
        type=int,
        nargs="?",
        const=6,
        default=0,
        help="acquisition frames too, and N guider frames with each exposure (6), with a catalogue of their stars",
    )
    command.set_defaults(size="mini")


def verb_simulate(options: argparse.Namespace) -> int:
    """Write a physically honest raw night with its truth beside it."""
    from sedmd.simulate import simulate_night

    with Bar(shown=sys.stderr.isatty()) as bar:
        simulate_night(
            options.out,
            night=options.night,
            seed=options.seed,
            instrument=options.instrument,
            size=options.size,
            profile=options.profile,
            workers=options.workers,
            progress=bar.show,
            rc=options.rc,
        )
    print(f"raw frames in {options.out / 'raw'}, truth in {options.out / 'truth'}")
    if options.rc:
        print(f"stars for sedmd stars import in {options.out / 'stars'}")
    return 0
