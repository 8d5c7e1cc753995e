"""The command `config`: check or show a configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add
from sedmd.core.config import load, show


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("config", verb_config)
    command.add_argument("action", choices=("check", "show"))
    command.add_argument("--config", type=Path, required=True)


def verb_config(options: argparse.Namespace) -> int:
    """Check a configuration file, or show every setting with its origin."""
    from sedmd.daemon.health import check_listen

    settings = load(options.config)
    if settings.health.listen:
        check_listen(settings.health.listen)
    if options.action == "show":
        print(show(settings))
    else:
        print(f"{options.config}: good")
    return 0
