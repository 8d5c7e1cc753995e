"""The command `reprocess`: many nights reduced again."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sedmd.commands.at_work import at_work_on_nights
from sedmd.commands.common import Add, positive_argument, utc_now
from sedmd.core.config import Settings, from_table, load
from sedmd.core.errors import ConfigError

if TYPE_CHECKING:
    from sedmd.reprocess.reprocess import NightDone, Years


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("reprocess", verb_reprocess)
    command.add_argument(
        "nights", metavar="NIGHTS", nargs="+", help="YYYYMMDD, YYYYMMDD..YYYYMMDD, all, or a file that lists them"
    )
    command.add_argument("--config", type=Path, help="the service's configuration")
    command.add_argument("--raw", metavar="DIR", type=Path, help="instead of a file: the raw root, with --redux")
    command.add_argument(
        "--redux", metavar="DIR", type=Path, help="a new redux root (default: that of the configuration, in place)"
    )
    command.add_argument("--engine", choices=("local", "dask"), help="where jobs run (default: as configured)")
    command.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://host:8786")
    command.add_argument("--workers", type=positive_argument, help="local: processes at work at once")
    command.add_argument("--open", metavar="N", type=positive_argument, help="nights at work at once")
    command.add_argument(
        "--alone",
        action="store_true",
        help="these nights with a ledger of their own, for one of many such commands at the same time (job arrays)",
    )
    command.add_argument("--list", action="store_true", help="only print the nights that are meant")
    command.add_argument("--json", metavar="FILE", type=Path, help="every change, and every failure, as JSON")
    command.add_argument("--verbose", "-v", action="store_true", help="one line for each event")


def verb_reprocess(options: argparse.Namespace) -> int:
    """Reduce years of nights again, and report what changed.

    Each night rests on those before it, as when it was observed; the products do not depend on the number of workers.
    The same command goes on where it was stopped. Without --redux the former products are replaced.
    """
    from sedmd.plan.nightlist import nights_meant
    from sedmd.reprocess.reprocess import reprocess
    from sedmd.run.event_log import EventLog

    settings, former_root = _settings(options)
    nights = nights_meant(options.nights, settings.paths.raw_root)
    if options.list:
        print("\n".join(nights))
        return 0
    if not nights:
        print(f"no night of these in {settings.paths.raw_root}; nothing to do")
        return 2
    settings.paths.redux_root.mkdir(parents=True, exist_ok=True)
    report = EventLog(
        clock=utc_now,
        redux_root=settings.paths.redux_root,
        stream=sys.stderr if options.verbose else None,
        verbose=options.verbose,
    )
    with at_work_on_nights(settings, nights, alone=options.alone) as (ledger, engine):
        years = reprocess(
            nights,
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=utc_now,
            report=report,
            former_root=former_root,
            open_nights=options.open or 0,
            on_night=lambda done: print(line(done), file=sys.stderr, flush=True),
        )
    _print(years)
    if options.json is not None:
        options.json.write_text(json.dumps(dataclasses.asdict(years), indent=1) + "\n", encoding="utf-8")
    return years.code


def line(done: NightDone) -> str:
    """A night that is done, as a line: its outcome, the rate, and the time that is left."""
    what = f"{done.jobs} jobs" if done.jobs else "nothing to do"
    if done.failed:
        what += f", {done.failed} failed"
    if done.missing:
        what += ", calibrations missing"
    rate = "" if done.nights_an_hour is None else f", {done.nights_an_hour:.1f} nights an hour"
    left = "" if done.seconds_left is None else f", {_duration(done.seconds_left)} left"
    return f"{done.night}  {what}; {done.done} of {done.total} nights{rate}{left}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours:02} h" if days else f"{hours} h {minutes % 60:02} min"


def _print(years: Years) -> None:
    from sedmd.reprocess.changes import table

    print(f"{years.nights} nights, {years.jobs} jobs in {_duration(years.seconds)}")
    for title, lines in (
        ("Failed:", years.failed),
        ("Using calibrations of earlier nights:", years.fallbacks),
        ("Calibrations missing:", years.missing),
    ):
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {one}" for one in lines))
    print("\nAgainst the former version:")
    print(table(years.changes))


def _settings(options: argparse.Namespace) -> tuple[Settings, Path | None]:
    """The settings, and the redux root with the former version if that is another."""
    if options.config is not None and options.raw is None:
        settings = load(options.config)
        paths = settings.paths
        if options.redux is not None:
            # its ledger goes with it: the configured one speaks of the former products
            paths = dataclasses.replace(paths, redux_root=options.redux.absolute(), state_dir=None)
            if paths.raw_root in (paths.redux_root, *paths.redux_root.parents):
                raise ConfigError(f"--redux {paths.redux_root} lies in raw_root; raw data stay untouched")
        former_root = settings.paths.redux_root
        settings = dataclasses.replace(settings, paths=paths)
    elif options.config is None and options.raw is not None and options.redux is not None:
        table = {"paths": {"raw_root": str(options.raw), "redux_root": str(options.redux)}}
        settings = from_table(table, origin="command line", base=Path.cwd())
        former_root = settings.paths.redux_root
    else:
        msg = "reprocess needs --config FILE, or --raw DIR and --redux DIR"
        raise ConfigError(msg)
    jobs = settings.jobs
    if options.scheduler:
        jobs = dataclasses.replace(jobs, engine="dask", dask_scheduler=options.scheduler)
    if options.engine:
        jobs = dataclasses.replace(jobs, engine=options.engine)
    if options.workers:
        jobs = dataclasses.replace(jobs, workers=options.workers)
    if jobs.engine == "dask" and not jobs.dask_scheduler:
        raise ConfigError("--engine dask needs --scheduler ADDRESS, or [jobs] dask_scheduler in the configuration")
    return dataclasses.replace(settings, jobs=jobs), former_root
