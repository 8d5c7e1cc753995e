"""The command `trend`: figures of many nights, as table and plots."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sedmd.commands.common import Add, add_where, positive_argument, settings_of, writing
from sedmd.core.errors import SedmError

#: So many nights a trend shows by default.
TREND_NIGHTS = 60


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("trend", verb_trend)
    add_where(command)
    command.add_argument(
        "--nights", type=positive_argument, default=TREND_NIGHTS, help="the newest so many (default: %(default)s)"
    )
    command.add_argument("--out", metavar="DIR", type=Path, help="where table and plots go (default: REDUX/trend)")
    command.add_argument("--json", action="store_true", help="print it for programs")
    command.add_argument("--dry-run", action="store_true", help="print it and write nothing")


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
    with writing("the trend"):
        put(out / "trend.txt", trend_text(nights).encode())
        put(out / "trend.json", trend_json(nights).encode())
        for kind in ("pdf", "png"):
            plot_trend(out / f"trend.{kind}", nights)
    print(f"written: {out}/trend.txt, .json, .pdf, .png ({len(nights)} nights)", file=sys.stderr)
    return 0
