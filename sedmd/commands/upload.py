"""The command `upload`: spectra to their receiver."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError

if TYPE_CHECKING:
    from sedmd.after.deliver.backend import Backend


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("upload", verb_upload)
    command.add_argument(
        "night", metavar="NIGHT", nargs="?", type=night_argument, help="default: the newest, and what still waits"
    )
    command.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    command.add_argument("--full", action="store_true", help="with --dry-run: every number of it")
    command.add_argument("--again", action="store_true", help="try now also what was refused or waits for its time")
    add_where(command)


def verb_upload(options: argparse.Namespace) -> int:
    """Send good and acceptable flux-calibrated spectra to the receiver in [upload], each once.

    What was sent and what not, and why, stands in report_ztf.txt. Off unless [upload] backend is set.
    """
    from sedmd.after.deliver.receivers import receiver
    from sedmd.after.deliver.upload import Uploader, UploadLine, nights_due

    settings = settings_of(options)
    backend = receiver(settings, clock=utc_now)
    if backend is None:
        raise ConfigError(
            'nothing is uploaded: [upload] backend is not set; expected "skyportal" or "drop" in --config'
        )
    nights = (
        [options.night]
        if options.night
        else nights_due(settings, backend.name, clock=utc_now, read_only=options.dry_run)
    )
    if options.dry_run:
        return _show_upload(settings, backend, nights, again=options.again, full=options.full)
    lines: list[UploadLine] = []
    for night, line in Uploader(settings, backend, clock=utc_now, again=options.again).run(nights):
        print(f"{night} {line}", flush=True)
        lines.append(line)
    sent = sum(line.fresh for line in lines)
    open_lines = sum(line.needs_action for line in lines)
    print(
        f"{sent} sent to {backend.name}, {open_lines} not yet or refused, {len(lines) - sent - open_lines} need nothing"
    )
    return int(open_lines > 0)


def _show_upload(settings: Settings, backend: Backend, nights: list[str], *, again: bool, full: bool) -> int:
    from sedmd.after.deliver.deliveries import Deliveries
    from sedmd.after.deliver.upload import UploadLine, settled, survey

    due = 0
    with Deliveries.open(settings.paths.state, clock=utc_now, read_only=True) as queue:
        for night in nights:
            for one in survey(settings, night, clock=utc_now):
                line = one if isinstance(one, UploadLine) else None
                if not isinstance(one, UploadLine):
                    known = queue.find(backend.name, night, one.product, one.content)
                    line = settled(known, one, now=utc_now(), again=again) if known is not None else None
                if line is not None:
                    print(f"{night} {line}")
                elif not isinstance(one, UploadLine):
                    due += 1
                    print(f"{night} {UploadLine(product=one.product, state='due', text='would be sent:')}")
                    print("\n".join(f"  {line}" for line in backend.preview(one, full=full)))
    print(f"{due} would be sent to {backend.name}; nothing was")
    return 0
