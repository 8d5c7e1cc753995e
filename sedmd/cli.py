"""The command line. Heavy modules are loaded by the command that needs them, so that --help and status are quick."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sedmd import __version__
from sedmd.config import Settings, from_table, load, show
from sedmd.errors import SedmError

EXIT_CODES = """\
exit codes:
  0  everything asked for was done
  1  some frames were quarantined or some jobs failed; the rest is done
  2  the command line or the configuration cannot be used
  3  calibrations are missing; the list says which
"""


def utc_now() -> datetime:
    """The wall clock; the one place where the program reads it."""
    return datetime.now(UTC)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except SedmError as error:
        print(f"sedmd: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sedmd: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output went away (| head); standard output must not be flushed into nothing at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(
        prog="sedmd",
        description="Raw frames of the SED Machine become flux-calibrated spectra.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"sedmd {__version__}")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, verb: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = (verb.__doc__ or "").strip()
        made = verbs.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(verb=verb)
        return made

    command = add("reduce", verb_reduce)
    command.add_argument(
        "raw", metavar="RAWDIR", nargs="+", type=Path, help="night directories YYYYMMDD, or a raw root"
    )
    command.add_argument("--redux", metavar="DIR", type=Path, required=True, help="products go to DIR/YYYYMMDD")
    command.add_argument("--night", type=_night, help="reduce this UT night only (YYYYMMDD)")
    command.add_argument("--workers", type=_positive, help="processes at work at once (default: as many as processors)")
    command.add_argument("--config", type=Path, help="take the other settings from this file")
    command.add_argument("--verbose", "-v", action="store_true", help="one line for each event")

    command = add("run", verb_run)
    command.add_argument("--config", type=Path, required=True, help="TOML file; smallest: [paths] raw_root, redux_root")
    command.add_argument("--verbose", "-v", action="store_true", help="minor events too")

    command = add("status", verb_status)
    _where(command)
    command.add_argument("--night", type=_night, help="this UT night (default: the newest)")
    command.add_argument("--json", action="store_true", help="for programs")

    command = add("why", verb_why)
    command.add_argument("subject", metavar="FRAME|TARGET", help="file name, its time stamp, or a target's name")
    _where(command)

    command = add("extract", verb_extract)
    command.add_argument("--decision", metavar="FILE", type=Path, required=True, help="NAME.decision.json")
    command.add_argument("--out", metavar="DIR", type=Path, help="products go there (default: where they were)")
    command.add_argument("--new-inputs", action="store_true", help="take today's cubes and calibration if they differ")

    command = add("simulate", verb_simulate)
    command.add_argument("out", metavar="OUT", type=Path, help="gets raw/YYYYMMDD/ and truth/")
    command.add_argument("--night", type=_night, default="20190612", help="UT night (default 20190612)")
    command.add_argument("--workers", type=_positive, default=1, help="processes that render (default 1)")
    command.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--mini", dest="size", action="store_const", const="mini", help="a small night (default)")
    size.add_argument("--full", dest="size", action="store_const", const="full", help="a whole night")
    command.add_argument("--profile", default="kpy", help="hardware epoch (default kpy)")
    command.set_defaults(size="mini")

    command = add("demo", verb_demo)
    command.add_argument("--out", metavar="DIR", type=Path, default=Path("sedmd-demo"), help="default ./sedmd-demo")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--profile", default="kpy", help="hardware epoch (default kpy)")

    command = add("config", verb_config)
    command.add_argument("action", choices=("check", "show"))
    command.add_argument("--config", type=Path, required=True)
    return top


def verb_reduce(options: argparse.Namespace) -> int:
    """Reduce raw night directories in one shot.

    Afternoon calibrations lie in the directory of the day before: give both. Work already done is not done again.
    """
    from sedmd.engines import ProcessEngine
    from sedmd.ledger import Ledger
    from sedmd.lock import single_instance
    from sedmd.report import Report
    from sedmd.runner import raw_directories, reduce_nights, table

    raw_directories(options.raw)  # complain before anything is made
    settings = _reduce_settings(options)
    report = Report(
        clock=utc_now,
        redux_root=settings.paths.redux_root,
        stream=sys.stderr if options.verbose or not sys.stderr.isatty() else None,
        verbose=options.verbose,
    )
    with (
        single_instance(settings.paths.state),
        Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now) as ledger,
        ProcessEngine(settings.jobs.steps_module, settings.jobs.worker_count) as engine,
        _Bar(shown=report_is_quiet(options)) as bar,
    ):
        summary = reduce_nights(
            options.raw,
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=utc_now,
            report=report,
            only_night=options.night,
            progress=bar.show,
        )
    if not summary.rows:
        print(f"no frames {settings.watch.pattern} in {', '.join(map(str, options.raw))}; nothing to do")
        return 2
    print(table(summary.rows))
    for title, lines in (("Failed:", summary.failed), ("Calibrations missing:", summary.missing)):
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {line}" for line in lines))
    if summary.missing:
        print("Give the directory of the day before too if the afternoon's frames are there.")
    return summary.code


def verb_run(options: argparse.Namespace) -> int:
    """Watch the raw root and reduce frames as they land, until SIGTERM."""
    from sedmd.daemon.service import serve

    return serve(load(options.config), clock=utc_now, verbose=options.verbose)


def verb_status(options: argparse.Namespace) -> int:
    """Show a night: calibrations, targets, what waits and why; works without the service."""
    from sedmd.status import render, snapshot

    state = snapshot(_settings(options), night=options.night, now=utc_now())
    print(json.dumps(state, indent=2) if options.json else render(state))
    return 0


def verb_why(options: argparse.Namespace) -> int:
    """Tell the whole story of a frame or target, one event a line."""
    from sedmd.ledger import Ledger

    settings = _settings(options)
    subject = options.subject.removesuffix(".fits")
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        story = ledger.story(subject)
    for time, night, name, text in story:
        print(f"{time[:19].replace('T', ' ')} UT  {night:8}  {name:40} {text}")
    if not story:
        print(f"nothing is known of {subject!r}; see sedmd status for the names in the ledger")
        return 1
    return 0


def verb_extract(options: argparse.Namespace) -> int:
    """Make the products of an observer's decision again, to the same bytes, without a window."""
    from sedmd.saved import replay

    for name, became in replay(options.decision, out=options.out, new_inputs=options.new_inputs).items():
        print(f"{name:48} {became}")
    return 0


def verb_simulate(options: argparse.Namespace) -> int:
    """Write a physically honest raw night with its truth beside it."""
    from sedmd.simulate import simulate_night

    with _Bar(shown=sys.stderr.isatty()) as bar:
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
    from sedmd.demo import play

    return play(options.out.absolute(), seed=options.seed, profile=options.profile, clock=utc_now)


def verb_config(options: argparse.Namespace) -> int:
    """Check a configuration file, or show every setting with its origin."""
    settings = load(options.config)
    if options.action == "show":
        print(show(settings))
    else:
        print(f"{options.config}: good")
    return 0


def report_is_quiet(options: argparse.Namespace) -> bool:
    """A progress bar instead of lines: on a terminal, unless lines were asked for."""
    return sys.stderr.isatty() and not options.verbose


class _Bar:
    """tqdm on a terminal, silence elsewhere; the total may grow while frames are read."""

    def __init__(self, *, shown: bool) -> None:
        from tqdm import tqdm

        size = shutil.get_terminal_size()
        self._bar = tqdm(
            disable=not shown,
            ncols=min(size.columns, 110),
            nrows=size.lines,  # some terminals claim zero lines, and tqdm then draws nothing
            bar_format="{percentage:3.0f}% |{bar}| {elapsed} {desc}",
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, done: int, total: int, label: str) -> None:
        self._bar.total, self._bar.n = total, done
        self._bar.set_description_str(label[:48])


def _reduce_settings(options: argparse.Namespace) -> Settings:
    base = Path.cwd()
    if options.config:
        loaded = load(options.config)
        origins = dict(loaded.origins)
    else:
        loaded, origins = None, {}
    raw = options.raw[0].absolute()
    table = {"paths": {"raw_root": str(raw), "redux_root": str(options.redux)}}
    made = from_table(table, origin="command line", base=base)
    if loaded is not None:
        import dataclasses

        made = dataclasses.replace(loaded, paths=made.paths, origins=origins)
    if options.workers:
        import dataclasses

        made = dataclasses.replace(made, jobs=dataclasses.replace(made.jobs, workers=options.workers))
    return made


def _settings(options: argparse.Namespace) -> Settings:
    if options.config is not None:
        return load(options.config)
    table = {"paths": {"raw_root": os.devnull, "redux_root": str(options.redux)}}
    return from_table(table, origin="command line", base=Path.cwd())


def _where(command: argparse.ArgumentParser) -> None:
    group = command.add_mutually_exclusive_group(required=True)
    group.add_argument("--config", type=Path, help="the service's configuration")
    group.add_argument("--redux", metavar="DIR", type=Path, help="or just the redux root")


def _night(text: str) -> str:
    try:
        valid = bool(re.fullmatch(r"\d{8}", text)) and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        valid = False
    if not valid:
        msg = f"{text!r} is not a night; expected YYYYMMDD"
        raise argparse.ArgumentTypeError(msg)
    return text


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        msg = f"{text!r} is not a number of processes; expected 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
