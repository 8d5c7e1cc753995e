"""The final report of a night: sent once, recorded, resent only on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sedmd.after.deliver.deliveries import QUEUED, REFUSED, SENDING, SENT, Deliveries, sender
from sedmd.after.deliver.final_report_mail import digest, letter, message
from sedmd.after.deliver.smtp import MailAway, MailRefused, check, deliver
from sedmd.core.config import Settings

#: The subject of the record.
PRODUCT = "final report"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailOutcome:
    """Outcome of the final report; `refused` are recipients that the server did not take."""

    text: str
    refused: tuple[str, ...] = ()


def send_final_report(
    settings: Settings, night: str, *, clock: Callable[[], datetime], again: bool = False
) -> MailOutcome:
    """Send the final report unless it was sent.

    A run that was killed while the server had the mail leaves the question open; the next one sends the mail again, and
    if nothing has changed under the same number, by which mail programs know a second copy.

    Raises
    ------
    ConfigError
        [mail] is not set or cannot be right.
    MailAway, MailRefused
        It was not sent.
    Locked
        Another process is sending one.
    """
    mail = settings.mail
    password = check(mail)
    state = settings.paths.state
    with sender(state, "mail"), Deliveries.open(state, clock=clock) as queue:
        service = "mail"
        known = queue.of_night(service, night)
        sent = [one for one in known if one.state == SENT]
        now = clock()
        written = letter(settings, night, now=now)
        content = digest(written)
        if sent and not again:
            last = max(sent, key=lambda one: one.changed)
            changed = " Its content has changed since." if last.content != digest(written, resent=last.tries) else ""
            hint = f"{changed} --again resends it"
            return MailOutcome(text=f"was sent {last.changed:%Y-%m-%d %H:%M} UT, {last.receipt}.{hint}")
        resent = len(sent)
        content = digest(written, resent=resent)
        mailed = message(written, mail, now=now, resent=resent)

        def put(where: str, text: str, *, receipt: str = "", reason: str = "") -> None:
            # tries keeps the count that went into the content
            queue.put(service, night, PRODUCT, content, where, text=text, receipt=receipt, reason=reason, tries=resent)

        put(SENDING, f"is sent to {', '.join(mail.recipients)}")
        try:
            refused = deliver(mailed, mail, password)
        except MailAway as error:
            put(QUEUED, f"not sent: {error}", reason=str(error))
            raise
        except MailRefused as error:
            put(REFUSED, f"refused: {error}", reason=str(error))
            raise
        taken = [one for one in mail.recipients if one not in refused]
        receipt = f"to {', '.join(taken)}, {mailed['Message-ID']}"
        refusals = "".join(f"; REFUSED {address}: {why}" for address, why in refused.items())
        put(SENT, f"sent {receipt}{refusals}", receipt=receipt, reason=refusals.lstrip("; "))
    plots = len(written.attachments)
    return MailOutcome(
        text=f"sent {receipt}, {plots} {'plot' if plots == 1 else 'plots'}"
        + (f", {len(written.too_large)} too large" if written.too_large else ""),
        refused=tuple(f"{address}: {why}" for address, why in refused.items()),
    )


def preview(settings: Settings, night: str, *, clock: Callable[[], datetime]) -> list[str]:
    """The mail as lines; needs no [mail] section."""
    now = clock()
    written = letter(settings, night, now=now)
    mailed = message(written, settings.mail, now=now)
    head = [f"{name}: {mailed[name] or '(not set)'}" for name in ("From", "To", "Subject", "Message-ID")]
    plots = [f"attached: {path.name} ({path.stat().st_size / 1e6:.2f} MB)" for path in written.attachments]
    return [*head, "", written.text.rstrip(), "", *plots]
