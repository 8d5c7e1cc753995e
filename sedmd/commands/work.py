"""Commands that reduce: a night in one shot, the service, an observer's decision once more."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sedmd.commands.bar import Bar
from sedmd.commands.common import night_argument, positive_argument, settings_of, utc_now
from sedmd.core.config import Settings, from_table, load
from sedmd.core.errors import ConfigError

if TYPE_CHECKING:
    from sedmd.ledger.ledger import Ledger
    from sedmd.workers.engines import Engine

Add = Callable[..., argparse.ArgumentParser]


def add_to(add: Add) -> None:
    """Add these commands to the program."""
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

    command = add("run", verb_run)
    command.add_argument("--config", type=Path, help="TOML file; smallest: [paths] raw_root, redux_root")
    command.add_argument("--raw", metavar="DIR", type=Path, help="instead of a file: the raw root ...")
    command.add_argument("--redux", metavar="DIR", type=Path, help="... and the redux root")
    command.add_argument(
        "--take-over", action="store_true", help="the other host that worked on this redux root is gone for good"
    )
    command.add_argument("--verbose", "-v", action="store_true", help="minor events too")

    command = add("extract", verb_extract)
    how = command.add_mutually_exclusive_group(required=True)
    how.add_argument("--auto", action="store_true", help="what can be extracted without an observer")
    how.add_argument("--decision", metavar="FILE", type=Path, help="an observer's NAME.decision.json once more")
    command.add_argument("targets", metavar="TARGET", nargs="*", help="--auto: these only (default: all of the night)")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--config", type=Path, help="--auto: the service's configuration")
    where.add_argument("--redux", metavar="DIR", type=Path, help="--auto: or just the redux root")
    command.add_argument("--night", type=night_argument, help="--auto: this UT night (default: the newest)")
    command.add_argument("--out", metavar="DIR", type=Path, help="products go there (default: where they were)")
    command.add_argument("--new-inputs", action="store_true", help="take today's cubes and calibration if they differ")


def verb_reduce(options: argparse.Namespace) -> int:
    """Reduce raw night directories in one shot.

    Afternoon calibrations lie in the directory of the day before: give both. Work already done is not done again.
    """
    from sedmd.run.event_log import Report
    from sedmd.run.runner import raw_directories, reduce_nights, table

    raw_directories(options.raw)  # complain before anything is made
    settings = _reduce_settings(options)
    settings.paths.redux_root.mkdir(parents=True, exist_ok=True)
    quiet = sys.stderr.isatty() and not options.verbose  # a progress bar instead of lines
    report = Report(
        clock=utc_now,
        redux_root=settings.paths.redux_root,
        stream=None if quiet else sys.stderr,
        verbose=options.verbose,
    )
    with _at_work(settings) as (ledger, engine), Bar(shown=quiet) as bar:
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
        ("Earlier nights' calibrations serve:", summary.fallbacks),
        ("Calibrations missing:", summary.missing),
    ):
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {line}" for line in lines))
    if summary.missing:
        print("Give the directory of the day before too if the afternoon's frames are there.")
    return summary.code


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


def verb_extract(options: argparse.Namespace) -> int:
    """Extract without a window: what is safe without an observer, or an observer's decision to the same bytes.

    --auto works on the cubes that are there and tells of each target how sure its spectrum is, and why not surer; what
    is below [extraction] min_confidence stays for the observer. A running service does the same by itself.
    """
    if options.auto:
        return _extract_auto(options)
    from sedmd.observation.saved import replay

    if options.targets or options.night or options.config or options.redux:
        msg = "--decision takes no TARGET, --night, --config or --redux: the file tells what it is about"
        raise ConfigError(msg)
    for name, outcome in replay(options.decision, out=options.out, new_inputs=options.new_inputs).items():
        print(f"{name:48} {outcome}")
    return 0


def _extract_auto(options: argparse.Namespace) -> int:
    from sedmd.host.lock import holder
    from sedmd.run.event_log import Report
    from sedmd.run.runner import extract_night
    from sedmd.run.status import snapshot
    from sedmd.run.unattended import rows_of, table

    if options.config is None and options.redux is None:
        msg = "extract --auto needs --config FILE or --redux DIR"
        raise ConfigError(msg)
    if options.out or options.new_inputs:
        msg = "--out and --new-inputs belong to --decision; --auto writes beside the cubes"
        raise ConfigError(msg)
    settings = settings_of(options)
    state = snapshot(settings, night=options.night, now=utc_now())
    known = {name for target in state["targets"] for name in (target["name"], target["target"])}
    if unknown := [name for name in options.targets if name not in known]:
        msg = f"no target {', '.join(unknown)} in night {state['night']}; sedmd targets lists them"
        raise ConfigError(msg)
    if holder(settings.paths.state) is None:
        report = Report(clock=utc_now, redux_root=settings.paths.redux_root, stream=None)
        with _at_work(settings) as (ledger, engine), Bar(shown=sys.stderr.isatty()) as bar:
            extract_night(
                state["night"],
                settings=settings,
                ledger=ledger,
                engine=engine,
                clock=utc_now,
                report=report,
                subjects=options.targets,
                progress=bar.show,
            )
        state = snapshot(settings, night=state["night"], now=utc_now())
    else:
        print("The service is running and extracts by itself; this is how it stands.", file=sys.stderr)
    rows = rows_of(state, options.targets)
    print(table(rows) if rows else f"no target in night {state['night']} yet")
    return int(any(row.failed for row in rows))


@contextmanager
def _at_work(settings: Settings) -> Iterator[tuple[Ledger, Engine]]:
    """The redux root for this process alone: its ledger, and workers."""
    from sedmd.host.claim import claimed
    from sedmd.host.lock import single_instance
    from sedmd.host.sharing import let_group_write
    from sedmd.ledger.journal import Journal
    from sedmd.ledger.ledger import Ledger
    from sedmd.workers.engine_choice import engine_for

    if settings.paths.group:
        let_group_write()
    journal = Journal(settings.paths.redux_root)
    with (
        single_instance(settings.paths.state),
        claimed(settings.paths.redux_root, settings.paths.state, now=utc_now()),
        Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, journal=journal, check=True) as ledger,
        engine_for(settings.jobs, tell=lambda text: print(text, file=sys.stderr)) as engine,
    ):
        yield ledger, engine


def _reduce_settings(options: argparse.Namespace) -> Settings:
    table = {"paths": {"raw_root": str(options.raw[0].absolute()), "redux_root": str(options.redux)}}
    made = from_table(table, origin="command line", base=Path.cwd())
    if options.config is not None:
        made = dataclasses.replace(load(options.config), paths=made.paths)
    if options.workers:
        made = dataclasses.replace(made, jobs=dataclasses.replace(made.jobs, workers=options.workers))
    return made
