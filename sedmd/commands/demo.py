"""The command `demo`: a simulated night under a running service."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, utc_now


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("demo", verb_demo)
    command.add_argument("--out", metavar="DIR", type=Path, default=Path("sedmd-demo"), help="default ./sedmd-demo")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--profile", default="2024", help="hardware epoch (default 2024, the present one)")


def verb_demo(options: argparse.Namespace) -> int:
    """Simulate a mini night, play it under a running service, compare the spectra with the truth."""
    from sedmd.simulate.demo import play

    return play(options.out.absolute(), seed=options.seed, profile=options.profile, clock=utc_now)
