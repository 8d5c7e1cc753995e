"""Commands that rehearse: simulated nights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from sedmd.commands.bar import Bar
from sedmd.commands.common import night_argument, positive_argument, utc_now

Add = Callable[..., argparse.ArgumentParser]


def add_to(add: Add) -> None:
    """Add these commands to the program."""
    command = add("simulate", verb_simulate)
    command.add_argument("out", metavar="OUT", type=Path, help="gets raw/YYYYMMDD/ and truth/")
    command.add_argument("--night", type=night_argument, help="UT night (default: an example of the profile)")
    command.add_argument("--workers", type=positive_argument, default=1, help="processes that render (default 1)")
    command.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--mini", dest="size", action="store_const", const="mini", help="a small night (default)")
    size.add_argument("--full", dest="size", action="store_const", const="full", help="a whole night")
    size.add_argument("--least", dest="size", action="store_const", const="least", help="one standard and one target")
    command.add_argument("--profile", help="hardware epoch (default: that of the night, else the present one)")
    command.set_defaults(size="mini")

    command = add("demo", verb_demo)
    command.add_argument("--out", metavar="DIR", type=Path, default=Path("sedmd-demo"), help="default ./sedmd-demo")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--profile", default="2024", help="hardware epoch (default 2024, the present one)")

    command = add("validate", verb_validate)
    command.add_argument("truth", metavar="TRUTH", type=Path, help="OUT/truth, as `simulate` wrote it")
    command.add_argument("redux", metavar="REDUX", type=Path, help="the redux root, or the directory of one night")
    command.add_argument("--night", type=night_argument, help="UT night (default: the only one below REDUX)")


def verb_simulate(options: argparse.Namespace) -> int:
    """Write a physically honest raw night with its truth beside it."""
    from sedmd.simulate import simulate_night

    with Bar(shown=sys.stderr.isatty()) as bar:
        simulate_night(
            options.out,
            night=options.night,
            seed=options.seed,
            size=options.size,
            profile=options.profile,
            workers=options.workers,
            progress=bar.show,
        )
    print(f"raw frames in {options.out / 'raw'}, truth in {options.out / 'truth'}")
    return 0


def verb_demo(options: argparse.Namespace) -> int:
    """Simulate a mini night, play it under a running service, compare the spectra with the truth."""
    from sedmd.simulate.demo import play

    return play(options.out.absolute(), seed=options.seed, profile=options.profile, clock=utc_now)


def verb_validate(options: argparse.Namespace) -> int:
    """Compare the products of a simulated night with its truth, stage by stage."""
    from sedmd.simulate.demo import compare, decides
    from sedmd.simulate.score import products_of, score_night

    folder = products_of(options.redux, options.night)
    rows = score_night(options.truth, folder)
    print(compare(rows))
    missed = [row for row in rows if not row.passed]
    deciding = [row for row in missed if decides(row)]
    print(f"\n{len(rows)} figures: {len(rows) - len(missed)} as required, {len(missed)} not")
    for row in deciding:
        print(f"NOT as required: {row.what} {row.where}")
    return 1 if deciding else 0
