"""Commands that send: spectra to their receiver, the final report by mail."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from sedmd.commands.common import add_where, night_argument, settings_of, utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError

if TYPE_CHECKING:
    from sedmd.after.deliver.backend import Backend

Add = Callable[..., argparse.ArgumentParser]


def add_to(add: Add) -> None:
    """Add these commands to the program."""
    command = add("upload", verb_upload)
    command.add_argument(
        "night", metavar="NIGHT", nargs="?", type=night_argument, help="default: the newest, and what still waits"
    )
    command.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    command.add_argument("--full", action="store_true", help="with --dry-run: every number of it")
    command.add_argument("--again", action="store_true", help="try now also what was refused or waits for its time")
    add_where(command)

    command = add("withdraw", verb_withdraw)
    command.add_argument("name", metavar="TARGET", help="the observation, or the target, as report_ztf.txt names it")
    command.add_argument("--night", type=night_argument, help="default: the newest in which it was sent")
    add_where(command)

    command = add("alert", verb_alert)
    command.add_argument("--failed", metavar="UNIT", default="", help="a unit that systemd gave up")
    command.add_argument("--dry-run", action="store_true", help="only show what would be told")
    add_where(command)

    command = add("final-report", verb_final_report)
    command.add_argument("night", metavar="NIGHT", nargs="?", type=night_argument, help="default: the newest")
    command.add_argument("--dry-run", action="store_true", help="only show the mail")
    command.add_argument("--again", action="store_true", help="send it anew although it was sent")
    add_where(command)


def verb_upload(options: argparse.Namespace) -> int:
    """Send good and acceptable flux-calibrated spectra to the receiver in [upload], each once.

    What was sent and what not, and why, stands in report_ztf.txt. Off unless [upload] backend is set.
    """
    from sedmd.after.deliver.receivers import receiver
    from sedmd.after.deliver.upload import Line, Uploader, nights_due

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
    lines: list[Line] = []
    for night, line in Uploader(settings, backend, clock=utc_now, again=options.again).run(nights):
        print(f"{night} {line}", flush=True)
        lines.append(line)
    sent = sum(line.fresh for line in lines)
    open_lines = sum(line.needs_action for line in lines)
    print(
        f"{sent} sent to {backend.name}, {open_lines} not yet or refused, {len(lines) - sent - open_lines} need nothing"
    )
    return int(open_lines > 0)


def verb_alert(options: argparse.Namespace) -> int:
    """Tell somebody, once, what mends itself by nobody: by mail, or by [mail] alert_command.

    A service that is away or restarts again and again, a full disk, no calibrations an hour after sunset, a night that
    ended with frames that are not used.
    """
    from sedmd.after.deliver.alert import find_alerts, send_alerts

    settings = settings_of(options)
    found = find_alerts(settings, now=utc_now(), failed=options.failed, restarts=_restarts())
    told = found if options.dry_run else send_alerts(settings, found, clock=utc_now)
    for one in told:
        print(f"{one.kind}: {one.text}")
    print(f"{len(found)} alerts, {0 if options.dry_run else len(told)} told now")
    return 0


def _restarts() -> int:
    """How often systemd started the service again; 0 where there is no systemd."""
    command = ["systemctl", "show", "sedmd.service", "--property=NRestarts", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(text) if (text := done.stdout.strip()).isdecimal() else 0


def verb_withdraw(options: argparse.Namespace) -> int:
    """Take back what was uploaded of a target: the receiver deletes it, and it is not sent again by itself.

    A spectrum that is made or graded anew afterwards is another one, and is sent.
    """
    from sedmd.after.deliver.backend import Closed, Refused, TryLater
    from sedmd.after.deliver.receivers import receiver
    from sedmd.after.deliver.withdraw import withdraw

    settings = settings_of(options)
    backend = receiver(settings, clock=utc_now)
    if backend is None:
        raise ConfigError("nothing was uploaded: [upload] backend is not set; give the --config with it")
    try:
        print("\n".join(withdraw(settings, backend, options.name, night=options.night, clock=utc_now)))
    except (Closed, Refused, TryLater) as error:
        print(f"sedmd: not withdrawn: {error}", file=sys.stderr)
        return 1
    return 0


def verb_final_report(options: argparse.Namespace) -> int:
    """Mail the night's report with its plots to the team, once; --dry-run shows it.

    Takes report.txt, else night.txt, else the state of the night. Off unless [mail] host is set.
    """
    from sedmd.after.deliver.final_report import preview, send_final_report
    from sedmd.after.deliver.smtp import MailRefused

    settings = settings_of(options)
    night = options.night or _newest(settings)
    if options.dry_run:
        print("\n".join(preview(settings, night, clock=utc_now)))
        return 0
    try:
        outcome = send_final_report(settings, night, clock=utc_now, again=options.again)
    except MailRefused as error:
        print(f"sedmd: final report of {night} refused: {error}", file=sys.stderr)
        return 1
    print(f"final report of {night}: {outcome.text}")
    for refused in outcome.refused:
        print(f"refused: {refused}")
    return int(bool(outcome.refused))


def _show_upload(settings: Settings, backend: Backend, nights: list[str], *, again: bool, full: bool) -> int:
    from sedmd.after.deliver.deliveries import Deliveries
    from sedmd.after.deliver.upload import Line, settled, survey

    due = 0
    with Deliveries.open(settings.paths.state, clock=utc_now, read_only=True) as queue:
        for night in nights:
            for one in survey(settings, night, clock=utc_now):
                line = one if isinstance(one, Line) else None
                if not isinstance(one, Line):
                    known = queue.find(backend.name, night, one.product, one.content)
                    line = settled(known, one, now=utc_now(), again=again) if known is not None else None
                if line is not None:
                    print(f"{night} {line}")
                elif not isinstance(one, Line):
                    due += 1
                    print(f"{night} {Line(product=one.product, state='due', text='would be sent:')}")
                    print("\n".join(f"  {told}" for told in backend.preview(one, full=full)))
    print(f"{due} would be sent to {backend.name}; nothing was")
    return 0


def _newest(settings: Settings) -> str:
    from sedmd.after.deliver.upload import newest_nights

    nights = newest_nights(settings)
    if not nights:
        raise ConfigError(f"{settings.paths.redux_root} holds no night; expected directories YYYYMMDD")
    return nights[-1]
