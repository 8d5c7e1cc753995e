"""Commands that tell what became of the nights: report, trend, publish. None needs the service or a network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sedmd.commands.common import add_where, night_argument, positive_argument, settings_of, utc_now
from sedmd.core.errors import NotWritten, SedmError
from sedmd.host.sharing import not_ours

Add = Callable[..., argparse.ArgumentParser]
#: So many nights a trend shows unless it is told otherwise.
TREND_NIGHTS = 60


def add_to(add: Add) -> None:
    """Add these commands to the program."""
    command = add("report", verb_report)
    command.add_argument("night", nargs="?", type=night_argument, help="UT night (default: the newest)")
    add_where(command)
    command.add_argument("--json", action="store_true", help="print it for programs")
    command.add_argument("--dry-run", action="store_true", help="print it and write nothing")

    command = add("trend", verb_trend)
    add_where(command)
    command.add_argument(
        "--nights", type=positive_argument, default=TREND_NIGHTS, help="the newest so many (default: %(default)s)"
    )
    command.add_argument("--out", metavar="DIR", type=Path, help="where table and plots go (default: REDUX/trend)")
    command.add_argument("--json", action="store_true", help="print it for programs")
    command.add_argument("--dry-run", action="store_true", help="print it and write nothing")

    command = add("publish", verb_publish)
    command.add_argument("night", nargs="?", type=night_argument, help="UT night (default: the newest)")
    add_where(command)
    command.add_argument("--out", metavar="DIR", type=Path, help="the site's folder (default: [web] root)")
    command.add_argument("--dry-run", action="store_true", help="tell what would change and write nothing")


def verb_report(options: argparse.Namespace) -> int:
    """Print a night's report, and write it beside the products as report.txt and report.json.

    Made from ledger and products as they are now: the same state gives the same bytes.
    """
    from sedmd.after.report.night_state import look, write_report
    from sedmd.after.report.reporttext import report_json, report_text

    settings = settings_of(options)
    report = look(settings, night=options.night, now=utc_now()).report
    print(report_json(report) if options.json else report_text(report), end="")
    if options.dry_run:
        return 0
    with _writing("the report"):
        changed = write_report(report, settings.paths.redux_root / report.night)
    told = f"written: {', '.join(map(str, changed))}" if changed else "report.txt and report.json were up to date"
    print(told, file=sys.stderr)
    return 0


def verb_trend(options: argparse.Namespace) -> int:
    """Print efficiency, flexure, wavelength rms, background, seeing and read noise of the nights, and plot them.

    Reads the products of the redux root; writes trend.txt, trend.json, trend.pdf and trend.png.
    """
    from sedmd.after.report.night_state import put
    from sedmd.after.report.trend import trend, trend_json, trend_text
    from sedmd.after.report.trendplot import plot_trend

    settings = settings_of(options)
    nights = trend(settings.paths.redux_root, nights=options.nights)
    if not nights:
        msg = f"no night with products in {settings.paths.redux_root}; nothing was written"
        raise SedmError(msg)
    print(trend_json(nights) if options.json else trend_text(nights), end="")
    if options.dry_run:
        return 0
    out = options.out or settings.paths.redux_root / "trend"
    with _writing("the trend"):
        put(out / "trend.txt", trend_text(nights).encode())
        put(out / "trend.json", trend_json(nights).encode())
        for kind in ("pdf", "png"):
            plot_trend(out / f"trend.{kind}", nights)
    print(f"written: {out}/trend.txt, .json, .pdf, .png ({len(nights)} nights)", file=sys.stderr)
    return 0


def verb_publish(options: argparse.Namespace) -> int:
    """Make a night's web page: static files for any web server, or to be opened as they are.

    Files that did not change are not written again; the index comes last. Copy the folder with rsync if you like.
    """
    from sedmd.after.report.night_state import look
    from sedmd.after.web.site import publish, site_root

    settings = settings_of(options)
    root = site_root(settings, options.out)
    tonight = look(settings, night=options.night, now=utc_now())
    with _writing("the web page"):
        done = publish(tonight, root, settings, dry_run=options.dry_run)
    would = "would be " if options.dry_run else ""
    print(
        f"{root / tonight.report.night / 'index.html'}: {len(tonight.spectra)} spectra; {len(done.written)} files "
        f"{would}written, {done.unchanged} unchanged, {len(done.removed)} {would}removed"
    )
    for line in done.errors:
        print(f"  {line}")
    return 0


@contextmanager
def _writing(what: str) -> Iterator[None]:
    """Say in a sentence why something could not be written."""
    try:
        yield
    except OSError as error:
        foreign = not_ours(Path(error.filename)) if isinstance(error.filename, str) else ""
        why = foreign or f"{error}. See to rights and room"
        raise NotWritten(f"{what} was not written: {why}; then give the command again") from error
