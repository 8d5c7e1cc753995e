"""The command `extract`: spectra without a window."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sedmd.commands.at_work import at_work
from sedmd.commands.bar import Bar
from sedmd.commands.common import Add, night_argument, settings_of, utc_now
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
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


def verb_extract(options: argparse.Namespace) -> int:
    """Extract without a window: what is safe without an observer, or an observer's decision to the same bytes.

    --auto works on the cubes that are there and lists the confidence of each target's spectrum, and the concerns; what
    is below [extraction] min_confidence stays for the observer. A running service does the same by itself.
    """
    if options.auto:
        return _extract_auto(options)
    from sedmd.observation.saved import replay

    if options.targets or options.night or options.config or options.redux:
        msg = "--decision takes no TARGET, --night, --config or --redux: the file says what it is about"
        raise ConfigError(msg)
    for name, outcome in replay(options.decision, out=options.out, new_inputs=options.new_inputs).items():
        print(f"{name:48} {outcome}")
    return 0


def _extract_auto(options: argparse.Namespace) -> int:
    from sedmd.host.lock import holder
    from sedmd.run.event_log import EventLog
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
    known = {name for target in state.targets for name in (target.name, target.target)}
    if unknown := [name for name in options.targets if name not in known]:
        msg = f"no target {', '.join(unknown)} in night {state.night}; sedmd targets lists them"
        raise ConfigError(msg)
    if holder(settings.paths.state) is None:
        report = EventLog(clock=utc_now, redux_root=settings.paths.redux_root, stream=None)
        with at_work(settings) as (ledger, engine), Bar(shown=sys.stderr.isatty()) as bar:
            extract_night(
                state.night,
                settings=settings,
                ledger=ledger,
                engine=engine,
                clock=utc_now,
                report=report,
                subjects=options.targets,
                progress=bar.show,
            )
        state = snapshot(settings, night=state.night, now=utc_now())
    else:
        print("The service is running and extracts by itself; this is how it stands.", file=sys.stderr)
    rows = rows_of(state, options.targets)
    print(table(rows) if rows else f"no target in night {state.night} yet")
    return int(any(row.failed for row in rows))
