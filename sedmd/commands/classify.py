"""The command `classify`: the kind of a target."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError, NotNow


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("classify", verb_classify)
    command.add_argument(
        "night", metavar="NIGHT", nargs="?", type=night_argument, help="this UT night (default: the newest)"
    )
    command.add_argument("--overwrite", action="store_true", help="do again what is done already")
    command.add_argument("--engine", choices=("auto", "snid", "snid-sage"), help="instead of the configuration's")
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")
    command.add_argument(
        "--file",
        metavar="FILE",
        type=Path,
        nargs="+",
        help="these spectra instead of a night's: text of wavelength, flux and error or variance; nothing is written",
    )
    command.add_argument(
        "--third",
        choices=("variance", "error", "none"),
        help="what the third column of a FILE is (default: from its header, else by its scatter)",
    )
    add_where(command, required=False)


def verb_classify(options: argparse.Namespace) -> int:
    """Classify the spectra of a night of quality 1 and 2, standards and known objects apart, or spectra from files.

    A type is secure only when the best templates agree. Exit code 1: a spectrum could not be classified, or there is
    no engine.
    """
    from sedmd.after.classify.classify import Done, classify_night
    from sedmd.observation.own_files import known_in

    if options.file:
        return _classify_files(options)
    if options.third is not None:
        raise ConfigError("--third is about the columns of a file; name it with --file")
    if options.config is None and options.redux is None:
        raise ConfigError("of which night? give --config or --redux, or spectra with --file")
    settings = settings_of(options)
    night = options.night or _newest(settings.paths.redux_root)
    folder = settings.paths.redux_root / night
    if not folder.is_dir():
        raise ConfigError(f"there is no night {folder}; sedmd status lists what there is")
    chosen = settings.classify if options.engine is None else replace(settings.classify, engine=options.engine)

    def on_done(done: Done) -> None:
        print(f"{done.product:32} {done.state:14} {done.text}", flush=True)

    done = classify_night(
        folder,
        chosen,
        overwrite=options.overwrite,
        dry_run=options.dry_run,
        known=known_in(settings, night, clock=utc_now),
        clock=utc_now,
        on_done=on_done,
    )
    counts = Counter(one.state for one in done)
    print(f"{night}: " + (", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "no spectra"))
    if not options.dry_run:
        _into_ledger(settings, night)
    waiting = counts["waiting"] and chosen.engine != "none"
    return int(bool(counts["failed"] or waiting))


def _classify_files(options: argparse.Namespace) -> int:
    from sedmd.after.classify.classify import choose, engines, rule_of
    from sedmd.after.classify.classify_file import classify_file
    from sedmd.core.config import Classify
    from sedmd.core.errors import SedmError
    from sedmd.products.published import Third

    if options.night or options.overwrite or options.dry_run:
        raise ConfigError("--file is about files, not about a night: no NIGHT, --overwrite or --dry-run with it")
    there = options.config is not None or options.redux is not None
    settings = settings_of(options).classify if there else Classify()
    if options.engine is not None:
        settings = replace(settings, engine=options.engine)
    engine, why_none = choose(engines(settings), settings.engine)
    if engine is None:
        print(why_none)
        return 1
    failed = 0
    for path in options.file:
        try:
            third = None if options.third is None else Third(options.third)
            found = classify_file(path, engine, rule_of(settings, engine.metric), third=third)
            print(found.line(), flush=True)
        except (SedmError, OSError) as fault:
            failed += 1
            print(f"{path.name}: {' '.join(str(fault).split())}", flush=True)
    return int(failed > 0)


def _into_ledger(settings: Settings, night: str) -> None:
    """Take the records up here when no service does."""
    from sedmd.after.classify.classification import take_up
    from sedmd.host.lock import single_instance
    from sedmd.ledger.journal import Journal
    from sedmd.ledger.ledger import Ledger

    state = settings.paths.state
    if not (state / "ledger.sqlite").exists():
        return
    try:
        with (
            single_instance(state),
            Ledger.open(state / "ledger.sqlite", clock=utc_now, journal=Journal(settings.paths.redux_root)) as ledger,
        ):
            take_up(ledger, settings.paths.redux_root / night)
    except NotNow:
        print("a service is at work: the ledger gets these from the records beside the spectra when it takes them up")


def _newest(root: Path) -> str:
    nights = sorted(path.name for path in root.glob("[0-9]" * 8) if path.is_dir()) if root.is_dir() else []
    if not nights:
        raise ConfigError(f"{root} holds no night; expected folders YYYYMMDD with spectra")
    return nights[-1]
