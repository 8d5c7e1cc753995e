"""The command `reduce`: raw night directories in one shot."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from sedmd.commands.at_work import at_work
from sedmd.commands.bar import Bar
from sedmd.commands.common import Add, night_argument, positive_argument, utc_now
from sedmd.core.config import Settings, from_table, load


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("reduce", verb_reduce)
    command.add_argument(
        "raw", metavar="RAWDIR", nargs="+", type=Path, help="night directories YYYYMMDD, or a raw root"
    )
    command.add_argument("--redux", metavar="DIR", type=Path, required=True, help="products go to DIR/YYYYMMDD")
    command.add_argument("--night", type=night_argument, help="reduce this UT night only (YYYYMMDD)")
    command.add_argument(
        "--workers", type=positive_argument, help="processes at work at once (default: as many as processors)"
    )
    command.add_argument("--strict", action="store_true", help="never take an earlier night's calibrations")
    command.add_argument("--config", type=Path, help="take the other settings from this file")
    command.add_argument("--verbose", "-v", action="store_true", help="one line for each event")


def verb_reduce(options: argparse.Namespace) -> int:
    """Reduce raw night directories in one shot.

    Afternoon calibrations lie in the directory of the day before: give both. Work already done is not done again.
    """
    from sedmd.run.event_log import EventLog
    from sedmd.run.runner import raw_directories, reduce_nights, table

    raw_directories(options.raw)  # complain before anything is made
    settings = _reduce_settings(options)
    settings.paths.redux_root.mkdir(parents=True, exist_ok=True)
    quiet = sys.stderr.isatty() and not options.verbose  # a progress bar instead of lines
    report = EventLog(
        clock=utc_now,
        redux_root=settings.paths.redux_root,
        stream=None if quiet else sys.stderr,
        verbose=options.verbose,
    )
    with at_work(settings) as (ledger, engine), Bar(shown=quiet) as bar:
        summary = reduce_nights(
            options.raw,
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=utc_now,
            report=report,
            only_night=options.night,
            strict=options.strict,
            progress=bar.show,
        )
    if not summary.rows:
        print(f"no frames {settings.watch.pattern} in {', '.join(map(str, options.raw))}; nothing to do")
        return 2
    print(table(summary.rows))
    for title, lines in (
        ("Failed:", summary.failed),
        ("Using calibrations of earlier nights:", summary.fallbacks),
        ("Calibrations missing:", summary.missing),
    ):
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {line}" for line in lines))
    if summary.missing:
        print("Give the directory of the day before too if the afternoon's frames are there.")
    return summary.code


def _reduce_settings(options: argparse.Namespace) -> Settings:
    table = {"paths": {"raw_root": str(options.raw[0].absolute()), "redux_root": str(options.redux)}}
    made = from_table(table, origin="command line", base=Path.cwd())
    if options.config is not None:
        made = dataclasses.replace(load(options.config), paths=made.paths)
    if options.workers:
        made = dataclasses.replace(made, jobs=dataclasses.replace(made.jobs, workers=options.workers))
    return made
