"""A night as it stands now, gathered from ledger, products and disks: what report and web page are made from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sedmd.after.classify.classification import CLASSIFIED
from sedmd.after.report.efficiency import BAND_NAMES
from sedmd.after.report.figures import NightFigures, night_figures
from sedmd.after.report.nightreport import BestMatch, Report, classification_of, make_report
from sedmd.after.report.reporttext import report_json, report_text
from sedmd.after.spectra import FinalSpectrum, final_spectra
from sedmd.core.config import Settings
from sedmd.core.errors import SedmError
from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import product_bytes, text_of
from sedmd.ledger.ledger import Ledger
from sedmd.observation.own_files import known_files
from sedmd.plan.planner import plan_night
from sedmd.products.ascii import read_ascii
from sedmd.products.fitsio import ProductFault
from sedmd.run.context import night_context, night_is_final
from sedmd.run.nightend import account
from sedmd.run.states import NightState
from sedmd.run.status import snapshot

TEXT, JSON = "report.txt", "report.json"
#: How the lines begin that a classification adds to an ASCII spectrum.
_CLASS_LINES = ("# SNID", "# CLASS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tonight:
    """One look at a night: its state, the spectra that count, the instrument's figures, and the report of all that."""

    state: NightState
    spectra: tuple[FinalSpectrum, ...]
    figures: NightFigures
    report: Report


def look(settings: Settings, *, night: str | None, now: datetime) -> Tonight:
    """Look at a night; the service need not run.

    Parameters
    ----------
    night : str or None
        None is the newest that the ledger knows.

    Raises
    ------
    SedmError
        There is no ledger, or it does not know the night.
    """
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        msg = f"no ledger {path}; nothing was reduced to {settings.paths.redux_root} yet"
        raise SedmError(msg)
    with Ledger.open(path, clock=lambda: now, read_only=True) as ledger:
        state = snapshot(settings, night=night, now=now, ledger=ledger)
        folder = settings.paths.redux_root / state.night
        lines = _account(settings, ledger, state.night, now)
        known, false = known_files(folder, ledger)
        spectra, unread = final_spectra(folder, known)
        figures = night_figures(folder)
        classified, unclear = _classified(spectra)
        report = make_report(
            state,
            spectra,
            classified,
            figures,
            bands=BAND_NAMES,
            as_of=_last_event(ledger, state.night, spectra),
            account=lines,
            trouble=[*unread, *false, *unclear],
        )
    return Tonight(state=state, spectra=tuple(spectra), figures=figures, report=report)


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``report.txt`` and ``report.json``; the paths of those that changed."""
    wanted = {folder / TEXT: report_text(report).encode(), folder / JSON: report_json(report).encode()}
    return [path for path, content in wanted.items() if put(path, content)]


def put(path: Path, content: bytes) -> bool:
    """Write a file atomically unless it has these bytes already; whether it was written."""
    try:
        if product_bytes(path) == content:
            return False
    except OSError:
        pass
    write_bytes_atomic(content, path)
    return True


def _account(settings: Settings, ledger: Ledger, night: str, now: datetime) -> list[str]:
    rows = ledger.frames.of_night(night)
    final = night_is_final(settings, ledger, night, now=now)
    context = night_context(settings, ledger, night, rows, now=now, final=final, versions=ledger.jobs.versions())
    plan = plan_night([row.frame for row in rows if row.frame is not None], context)
    found = account(settings, ledger, plan)
    if not settings.paths.raw_root.is_dir():
        # without the raw files at hand nothing can be said of them
        found = dataclasses.replace(found, gone=(), unread=())
        return [*found.lines(), "the raw files were not checked: the raw root is not set or not mounted"]
    return found.lines()


def _classified(spectra: list[FinalSpectrum]) -> tuple[dict[str, BestMatch], list[str]]:
    found, errors = {}, []
    for one in spectra:
        try:
            header = read_ascii(classified_text(one.ascii)).header
        except FileNotFoundError:
            errors.append(f"{one.ascii.name} is missing beside {one.fits.name}; make it again")
            continue
        except (OSError, ProductFault) as error:
            errors.append(f"{one.ascii.name} cannot be read: {error}")
            continue
        if (given := classification_of(header)) is not None:
            found[one.product] = given
    return found, errors


def classified_text(path: Path) -> Path:
    """The text that tells the type of an ASCII spectrum: its copy in ``classified/``, if it is one, else itself.

    A copy is what has the same lines, those of the classification apart; one that an earlier state of the spectrum left
    behind tells of that, not of this.
    """
    copy = path.parent / CLASSIFIED / path.name
    try:
        own, given = (text_of(each, encoding="ascii").splitlines() for each in (path, copy))
    except OSError:
        return path
    return copy if [line for line in given if not line.startswith(_CLASS_LINES)] == own else path


def _last_event(ledger: Ledger, night: str, spectra: list[FinalSpectrum]) -> str:
    """The newest time in the state itself: a frame, a job, a decision, or a spectrum that an observer saved."""
    times = [row.arrived for row in ledger.frames.of_night(night)]
    times += [datetime.fromisoformat(row.ended) for row in ledger.jobs.of_night(night) if row.ended]
    times += [datetime.fromisoformat(mark.time) for mark in ledger.marks.of_night(night)]
    times += [datetime.fromtimestamp(one.fits.stat().st_mtime, UTC) for one in spectra if one.by_observer]
    return max(times).astimezone(UTC).isoformat(timespec="seconds")
