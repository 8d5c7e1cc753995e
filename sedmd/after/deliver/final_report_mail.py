"""The final report as a mail: text and HTML, the plots as attachments; nothing is sent here."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from sedmd.after.spectra import FinalSpectrum, final_spectra
from sedmd.core.config import Mail, Settings
from sedmd.core.errors import SedmError
from sedmd.host.foreign_file import product_bytes, text_of
from sedmd.observation.own_files import known_in
from sedmd.run.nightend import REPORT as NIGHT_REPORT
from sedmd.run.status import snapshot
from sedmd.run.status_text import render

#: The report of the night, the best one first; without any the state of the night is sent.
REPORTS = ("report.txt", NIGHT_REPORT)
#: Appended to the report if it is there: what was uploaded.
UPLOADS = "report_ztf.txt"
#: Base64 makes three bytes four, and breaks lines.
ENCODED = 4 / 3 * 78 / 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a final report says.

    Attributes
    ----------
    text : str
    attachments : tuple of Path
        Plots that fit.
    too_large : tuple of str
        Names of those that do not.
    """

    night: str
    subject: str
    text: str
    attachments: tuple[Path, ...] = ()
    too_large: tuple[str, ...] = ()


def letter(settings: Settings, night: str, *, now: datetime) -> Letter:
    """Draw up the final report of a night.

    Raises
    ------
    SedmError
        Nothing is known of the night.
    """
    folder = settings.paths.redux_root / night
    spectra, errors = final_spectra(folder, known_in(settings, night, clock=lambda: now))
    attached, too_large = choose(spectra, limit_bytes=settings.mail.max_attachment_mb * 1e6)
    parts = [_report(settings, night, now=now), *errors]
    if (given := _read(folder / UPLOADS)) is not None:
        parts.append(given.rstrip())
    if too_large:
        parts.append(f"Not attached, because they are too large: {', '.join(too_large)}")
    good = sum(one.usable and not one.standard for one in spectra)
    targets = sum(not one.standard for one in spectra)
    return Letter(
        night=night,
        subject=f"SEDM {night}: {targets} {'spectrum' if targets == 1 else 'spectra'}, {good} good or acceptable",
        text="\n\n".join(parts) + "\n",
        attachments=attached,
        too_large=too_large,
    )


def choose(spectra: Sequence[FinalSpectrum], *, limit_bytes: float) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The plots to attach, good ones first, up to a size as it is in the mail; and the names of the others."""
    taken: list[Path] = []
    too_large: list[str] = []
    room = limit_bytes
    # not graded comes after good and acceptable, standards last
    for one in sorted(spectra, key=lambda one: (one.standard, not one.usable, one.quality, one.product)):
        try:
            size = one.page.stat().st_size * ENCODED
        except OSError:
            continue
        if size <= room:
            taken.append(one.page)
            room -= size
        else:
            too_large.append(one.page.name)
    return tuple(taken), tuple(too_large)


def message(written: Letter, mail: Mail, *, now: datetime, resent: int = 0) -> EmailMessage:
    """The mail.

    Its number (Message-ID) follows from night and content, so that a second copy is recognised; `resent` counts how
    often it was sent on purpose before, and makes another number.
    """
    mailed = EmailMessage(policy=SMTP)
    mailed["From"] = mail.sender
    mailed["To"] = ", ".join(mail.recipients)
    mailed["Subject"] = " ".join(written.subject.split())
    mailed["Date"] = format_datetime(now)
    mailed["Message-ID"] = f"<sedmd.{written.night}.{digest(written, resent=resent)[:24]}@{_domain(mail.sender)}>"
    mailed["Auto-Submitted"] = "auto-generated"
    mailed.set_content(written.text, cte="quoted-printable")
    mailed.add_alternative(_html(written), subtype="html", cte="quoted-printable")
    for path in written.attachments:
        mailed.add_attachment(product_bytes(path), maintype="application", subtype="pdf", filename=path.name)
    return mailed


def digest(written: Letter, *, resent: int = 0) -> str:
    """SHA-256 of what a letter says, its plots included."""
    total = hashlib.sha256(f"{written.night}\n{resent}\n{written.text}".encode())
    for path in written.attachments:
        total.update(path.name.encode() + hashlib.sha256(product_bytes(path)).digest())
    return total.hexdigest()


def _report(settings: Settings, night: str, *, now: datetime) -> str:
    folder = settings.paths.redux_root / night
    for name in REPORTS:
        if (given := _read(folder / name)) is not None:
            return given.rstrip()
    try:
        return render(snapshot(settings, night=night, now=now))
    except SedmError as error:
        msg = f"night {night}: there is no {' or '.join(REPORTS)} in {folder}, and {error}"
        raise SedmError(msg) from None


def _read(path: Path) -> str | None:
    try:
        return text_of(path)
    except OSError:  # none, or nothing that can be read: the next best is used
        return None


def _html(written: Letter) -> str:
    style = "font: 13px/1.35 Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre"
    plots = "".join(f"<li>{html.escape(path.name)}</li>" for path in written.attachments)
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        f"<title>{html.escape(written.subject)}</title></head><body>\n"
        f"<h3>{html.escape(written.subject)}</h3>\n"
        f'<pre style="{style}">{html.escape(written.text)}</pre>\n'
        + (f"<p>Attached:</p>\n<ul>{plots}</ul>\n" if plots else "")
        + "</body></html>\n"
    )


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2] or "localhost"
