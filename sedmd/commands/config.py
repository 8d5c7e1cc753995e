"""The command `config`: check or show a configuration; print a sample, or the page of settings."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add
from sedmd.core.config import load, show
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("config", verb_config)
    command.add_argument("action", choices=("check", "show", "sample", "doc"))
    command.add_argument("--config", type=Path, help="the configuration to check or show")


def verb_config(options: argparse.Namespace) -> int:
    """Check a configuration file, or show every setting with its origin; print a sample, or the page of settings."""
    from sedmd.core.config import pages
    from sedmd.daemon.health import check_listen

    if options.action in ("sample", "doc"):
        print(pages.sample() if options.action == "sample" else pages.page(), end="")
        return 0
    if options.config is None:
        raise ConfigError(f"config {options.action}: of which file? give --config FILE")
    settings = load(options.config)
    if settings.health.listen:
        check_listen(settings.health.listen)
    if options.action == "show":
        print(show(settings))
    else:
        print(f"{options.config}: good")
    return 0
