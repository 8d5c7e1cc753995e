"""The command `run`: the service."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, utc_now
from sedmd.core.config import from_table, load
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("run", verb_run)
    command.add_argument("--config", type=Path, help="TOML file; smallest: [paths] raw_root, redux_root")
    command.add_argument("--raw", metavar="DIR", type=Path, help="instead of a file: the raw root ...")
    command.add_argument("--redux", metavar="DIR", type=Path, help="... and the redux root")
    command.add_argument(
        "--take-over", action="store_true", help="the other host that worked on this redux root is gone for good"
    )
    command.add_argument("--verbose", "-v", action="store_true", help="minor events too")


def verb_run(options: argparse.Namespace) -> int:
    """Watch the raw root and reduce frames as they land, until SIGTERM."""
    from sedmd.daemon.start import serve

    if (options.config is None) == (options.raw is None) or (options.raw is None) != (options.redux is None):
        msg = "run needs --config FILE, or --raw DIR and --redux DIR"
        raise ConfigError(msg)
    if options.config is not None:
        settings = load(options.config)
    else:
        table = {"paths": {"raw_root": str(options.raw), "redux_root": str(options.redux)}}
        settings = from_table(table, origin="command line", base=Path.cwd())
    return serve(settings, clock=utc_now, config=options.config, verbose=options.verbose, take_over=options.take_over)
