"""The command `publish`: a night's web page."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now, writing


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("publish", verb_publish)
    command.add_argument("night", nargs="?", type=night_argument, help="UT night (default: the newest)")
    add_where(command)
    command.add_argument("--out", metavar="DIR", type=Path, help="the site's folder (default: [web] root)")
    command.add_argument("--dry-run", action="store_true", help="tell what would change and write nothing")


def verb_publish(options: argparse.Namespace) -> int:
    """Make a night's web page: static files for any web server, or to be opened as they are.

    Files that did not change are not written again; the index comes last. Copy the folder with rsync if you like.
    """
    from sedmd.after.report.night_state import look
    from sedmd.after.web.site import publish, site_root

    settings = settings_of(options)
    root = site_root(settings, options.out)
    tonight = look(settings, night=options.night, now=utc_now())
    with writing("the web page"):
        done = publish(tonight, root, settings, dry_run=options.dry_run)
    would = "would be " if options.dry_run else ""
    print(
        f"{root / tonight.report.night / 'index.html'}: {len(tonight.spectra)} spectra; {len(done.written)} files "
        f"{would}written, {done.unchanged} unchanged, {len(done.removed)} {would}removed"
    )
    for line in done.errors:
        print(f"  {line}")
    return 0
