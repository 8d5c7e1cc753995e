"""Alerts: what stops a night and does not recover by itself, sent once, with what to do."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from sedmd.after.deliver.deliveries import SENT, Deliveries, sender
from sedmd.after.deliver.smtp import check, deliver
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError, NotNow, SedmError
from sedmd.host.lock import holder
from sedmd.host.mounts import free_bytes
from sedmd.plan.deadlines import deadlines
from sedmd.run.status import snapshot

#: An alert after so many restarts by systemd, and then again after so many.
RESTARTS = 5
#: A command of the site that takes longer is stopped, seconds.
COMMAND_S = 60.0


class AlertFailed(NotNow):
    """The command of the site failed to take an alert; it is sent the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert: its kind and night, and in a sentence with what to do."""

    kind: str
    night: str
    text: str


def find_alerts(
    settings: Settings, *, now: datetime, failed: str = "", restarts: int = 0, serving: bool | None = None
) -> list[Alert]:
    """What somebody should know now.

    Parameters
    ----------
    failed : str
        Name of a unit that systemd gave up.
    restarts : int
        How often systemd started the service again.
    serving : bool or None
        A service works on this redux root; None looks.
    """
    found = []

    def tell(kind: str, text: str, night: str = "") -> None:
        found.append(Alert(kind=kind, night=night, text=text))

    if failed:
        tell("failed", f"{failed} has failed and is not restarted. See: systemctl status {failed}; sedmd doctor")
    if restarts >= RESTARTS:
        times = restarts // RESTARTS * RESTARTS
        tell("restarts", f"the service was restarted {times} times or more. See: journalctl -u sedmd; sedmd doctor")
    if not (holder(settings.paths.state) is not None if serving is None else serving):
        tell("away", f"no service runs on {settings.paths.redux_root}. Start it: systemctl start sedmd")
    free = free_bytes(settings.paths.redux_root)
    if free is not None and free < settings.disk.min_free_mb * 1_000_000:
        where = settings.paths.redux_root
        tell("disk", f"{free / 1e6:.0f} MB are free on {where}; no new jobs start below {settings.disk.min_free_mb}")
    try:
        state = snapshot(settings, night=None, now=now)
    except SedmError:
        return found  # no night yet, or no ledger: the service says what is wrong with it
    night = state.night
    sun = deadlines(night, settings)
    if sun.fallback_from <= now < sun.closes and state.missing:
        lacks = "; ".join(state.missing)
        tell(
            "calibrations",
            f"an hour after sunset of {night} there are no calibrations: {lacks}. Take calibrations",
            night,
        )
    if state.closed and state.idle and (left := state.rejected_frames):
        named = ", ".join(one.frame for one in left[:5])
        what = f"night {night} has ended with {len(left)} frames that are not used: {named}"
        tell("frames", f"{what}. See: sedmd status --night {night}", night)
    return found


def send_alerts(
    settings: Settings,
    alerts: Sequence[Alert],
    *,
    clock: Callable[[], datetime],
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> list[Alert]:
    """Send what was not sent yet, by the site's command if there is one, else by mail; what was sent now.

    What is over and comes again is sent again.

    Raises
    ------
    ConfigError
        Neither [mail] host nor alert_command is set.
    MailAway, MailRefused, AlertFailed
        It was not sent.
    """
    mail = settings.mail
    if not mail.alert_command and not mail.host:
        raise ConfigError("no alert is sent: neither [mail] host nor [mail] alert_command is set in --config")
    found = []
    with sender(settings.paths.state, "alert"), Deliveries.open(settings.paths.state, clock=clock) as queue:
        for night in {"", *(one.night for one in alerts)}:
            now = {(one.kind, _digest(one)) for one in alerts if one.night == night}
            for old in queue.of_night("alert", night):
                if old.state == SENT and (old.product, old.content) not in now:
                    queue.put("alert", night, old.product, old.content, "over", text=f"alert over: {old.reason}")
        for one in alerts:
            known = queue.find("alert", one.night, one.kind, _digest(one))
            if known is not None and known.state == SENT:
                continue
            if mail.alert_command:
                _run(mail.alert_command, one, run)
            else:
                deliver(_letter(settings, one, clock()), mail, check(mail))
            text = f"alert: {one.text}"
            queue.put("alert", one.night, one.kind, _digest(one), SENT, text=text, reason=one.text)
            found.append(one)
    return found


def _run(command: Sequence[str], one: Alert, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The site's command gets kind and sentence as its last two arguments."""
    try:
        done = run([*command, one.kind, one.text], timeout=COMMAND_S, capture_output=True, text=True, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AlertFailed(f"[mail] alert_command {command[0]} failed ({error})") from None
    if done.returncode:
        said = " ".join((done.stderr or "").split())[:200]
        raise AlertFailed(f"[mail] alert_command {command[0]} ended with exit code {done.returncode}: {said}")


def _letter(settings: Settings, one: Alert, now: datetime) -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"] = settings.mail.sender, ", ".join(settings.mail.recipients)
    made["Subject"] = f"SEDM alert: {one.kind}{f', night {one.night}' if one.night else ''}"
    made["Date"] = format_datetime(now)
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(f"{one.text}\n\nSent once; sent again if the problem is solved and returns.\n")
    return made


def _digest(one: Alert) -> str:
    # figures change from look to look: of the disk only that it is full counts
    said = one.kind if one.kind == "disk" else one.text
    return hashlib.sha256(said.encode()).hexdigest()
