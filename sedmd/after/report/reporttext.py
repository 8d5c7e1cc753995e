"""The night's report as text of 120 columns for people, and as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from datetime import datetime

from sedmd.after.report.nightreport import QUALITY_WORDS, CalibrationReport, Open, Report, SpectrumLine, report_values
from sedmd.run.event_log import figures

WIDTH = 120
#: Head, width, and whether it stands to the right.
_COLUMNS = (
    ("UT", 5, False),
    ("object", 27, False),
    ("exp", 5, True),
    ("air", 4, True),
    ("method", 8, False),
    ("Q", 1, False),
    ("S/N", 5, True),
    ("seeing", 6, True),
    ("flux", 5, False),
    ("reducer", 9, False),
    ("program", 10, False),
    ("type", 10, False),
    ("z", 6, True),
    ("rlap", 5, True),
)


def report_json(report: Report) -> str:
    """The report as JSON; the same report gives the same text."""
    return json.dumps(report_values(report), indent=1, allow_nan=False) + "\n"


def report_text(report: Report) -> str:
    """The report as text; no line is longer than `WIDTH`."""
    doubted = [one for one in report.lines if one.doubts and not one.provisional]
    sections = [
        _head(report),
        _table(report),
        _section("failed", [_open(one) for one in report.failed]),
        _section("awaiting observer", [_open(one) for one in report.observer]),
        _section("final without an observer, with concerns", [_doubted(one) for one in doubted]),
        _section("in progress", [_open(one) for one in report.pending]),
        _section("calibrations", [*(_calibration(one) for one in report.calibrations), *report.serving]),
        _section("errors and warnings", report.trouble),
        _section("raw files and products", report.account),
        _section("instrument", _instrument(report)),
    ]
    return "\n".join("\n".join(line.rstrip() for line in part) + "\n" for part in sections if part)


def _head(report: Report) -> list[str]:
    graded = [sum(line.quality == grade for line in report.lines) for grade in range(len(QUALITY_WORDS))]
    text = ", ".join(f"{count} {word}" for count, word in zip(graded, QUALITY_WORDS, strict=True) if count)
    dark_h = _hours(report.sunset, report.sunrise)
    lines = [
        f"SED Machine, Palomar 60-inch: night {report.night} ({'closed' if report.closed else 'open'}), "
        f"as of {report.as_of[:19].replace('T', ' ')} UT",
        f"{len(report.lines)} spectr{'um' if len(report.lines) == 1 else 'a'} ({text or 'none'}); "
        f"{len(report.failed)} failed, {len(report.observer)} awaiting observer, {len(report.pending)} in progress",
        f"{report.on_sky_s / 3600:.2f} h on targets of {dark_h:.2f} h between sunset {report.sunset[11:16]} and "
        f"sunrise {report.sunrise[11:16]} UT; lost: {report.lost_s / 3600:.2f} h (quality 4 and 5, and failures)",
    ]
    if report.seeing_arcsec is not None:
        low, middle, high = report.seeing_arcsec
        lines.append(f"seeing {middle:.2f} arcsec FWHM ({low:.2f} to {high:.2f}, measured on the objects in the cubes)")
    return [wrapped for line in lines for wrapped in _wrap(line, "")]


def _table(report: Report) -> list[str]:
    if not report.lines:
        return ["no spectra yet"]
    lines = [_row([name for name, *_ in _COLUMNS]), *(_row(_cells(line)) for line in report.lines)]
    notes = []
    if any(line.older for line in report.lines):
        notes.append('flux: "3 n" means calibrations 3 nights old')
    if any(line.half for line in report.lines):
        notes.append(
            "method: A or B at the end is one exposure of a pair without the other; its sky subtraction is worse"
        )
    if any(not line.classification for line in report.lines):
        notes.append("type: (standard) or (quality) where there is no classification")
    if any(line.classification and line.classification.secure is False for line in report.lines):
        notes.append("?: the best matches of the classification disagree")
    return [*lines, *(wrapped for note in notes for wrapped in _wrap(note, ""))]


def _cells(line: SpectrumLine) -> list[str]:
    found = line.classification
    kind = found.label if found else "(standard)" if line.standard else f"(Q{line.quality})"
    flux = "yes" if line.flux_calibrated else "NO"
    if line.flux_calibrated and line.older:
        flux = f"{max(line.calibration_age or 0, line.flux_age or 0)} n"
    return [
        line.utc[11:16],
        # the number of the visit is in the product's name only
        line.product,
        _number(line.exptime_s, ".0f"),
        _number(line.airmass, ".2f"),
        line.method,
        str(line.quality),
        _number(line.snr, ".1f"),
        _number(line.seeing_arcsec, ".2f"),
        flux,
        line.reducer,
        line.program,
        kind,
        _number(found.redshift if found else None, ".4f"),
        _number(found.rlap if found else None, ".1f"),
    ]


def _row(cells: Sequence[str]) -> str:
    return " ".join(
        _cut(cell, width).rjust(width) if right else _cut(cell, width).ljust(width)
        for cell, (_, width, right) in zip(cells, _COLUMNS, strict=True)
    )


def _open(one: Open) -> str:
    return f"{one.product} {one.exptime_s:.0f} s, {one.state}" + (f": {one.reason}" if one.reason else "")


def _doubted(one: SpectrumLine) -> str:
    sure = "" if one.confidence is None else f"confidence {100 * one.confidence:.0f} %; "
    return f"{one.product}: {sure}{'; '.join(one.doubts)}"


def _calibration(one: CalibrationReport) -> str:
    name = one.label if one.step in one.label else f"{one.step} {one.label}"
    given = one.reason or figures(one.figures)
    return f"{name}: {one.state}" + (f", {given}" if given else "")


def _instrument(report: Report) -> list[str]:
    lines = []
    known = {band: share for band, share in report.efficiency.items() if share is not None}
    if known:
        stars = f"{report.standards} standard{'' if report.standards == 1 else 's'}"
        text = ", ".join(f"{100 * share:.1f} % at {band} nm" for band, share in known.items())
        lines.append(f"efficiency of telescope and instrument: {text} ({stars}; without the atmosphere)")
    else:
        lines.append("efficiency: no flux calibration of this night")
    both = zip(("x", "y"), report.flexure_px, strict=True)
    flexure = [f"{name} {value:+.2f} px" for name, value in both if value is not None]
    lines += [f"flexure, median: {', '.join(flexure)}"] if flexure else []
    if report.wavelength_rms_px is not None:
        lines.append(f"wavelength rms: {report.wavelength_rms_px:.3f} px")
    if report.background_e_per_s is not None:
        lines.append(
            f"scattered light between the traces, median: {report.background_e_per_s:.4f} electron/s per pixel"
        )
    if report.read_noise_e:
        text = ", ".join(f"{value:.1f} electron at {speed} MHz" for speed, value in report.read_noise_e.items())
        lines.append(f"read noise: {text}")
    if report.gain is not None:
        measured, error, used = report.gain
        lines.append(f"gain by photon transfer: {measured:.3f} +- {error:.3f} electron/ADU ({used:g} used)")
    if report.persistence is not None:
        share, error = (100 * value for value in report.persistence)
        lines.append(f"left of an exposure in the next one (persistence): {share:.3f} +- {error:.3f} % of its light")
    return lines


def _section(title: str, entries: Sequence[str]) -> list[str]:
    return [title, *(wrapped for entry in entries for wrapped in _wrap(entry, "  "))] if entries else []


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=indent + "    ", break_on_hyphens=False
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _hours(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() / 3600
