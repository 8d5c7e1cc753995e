"""The night's report as plain values, from the state of the night and its spectra: pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from sedmd.after.report.figures import NightFigures
from sedmd.after.spectra import FinalSpectrum
from sedmd.core.memory_figures import UNSEEN
from sedmd.run.states import NightState, TargetState

QUALITY_WORDS = ("not graded", "good", "acceptable", "poor", "no object visible", "bogus target")
#: From this quality on the exposure brought nothing: lost time (kpy PtfDrpReport).
LOST_FROM = 4
#: Steps that are told of as observations.
_OF_TARGETS = ("extract", "calibrate")
_DOUBT = re.compile(r"DOUBT\d")
#: Type of a spectrum that a classifier found nothing like (kpy Classify).
NO_MATCH = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class BestMatch:
    """Best match of a classifier, from the header of the ASCII spectrum; None where it does not say.

    Attributes
    ----------
    together : str
        Type by the best matches together, where the classifier asked more than one.
    secure : bool or None
        They agree; None when nobody asked.
    """

    type: str
    subtype: str = ""
    redshift: float | None = None
    rlap: float | None = None
    together: str = ""
    secure: bool | None = None

    @property
    def label(self) -> str:
        """Type and subtype as one word, with a question mark when the best matches disagree."""
        sub = f"-{self.subtype}" if self.subtype and self.subtype != self.type else ""
        return f"{self.type}{sub}{'?' if self.secure is False and self.type != NO_MATCH else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumLine:
    """One spectrum of the report.

    Attributes
    ----------
    utc : str
        Start, YYYY-MM-DD HH:MM:SS.s.
    method : str
        How the spectrum was extracted, "A/B" in it for a pair, its letter for one exposure of a pair alone.
    snr : float or None
        Median signal to noise of a bin, 4500-8500 Angstrom.
    calibrations, flux_calibration : str
        Night of bias, traces, wavelengths and flat; night of the flux calibration, empty when there is none.
    calibration_age, flux_age : int or None
        Nights from there to the exposure.
    confidence : float or None
        Of the automatic extraction; None where an observer decided.
    doubts : tuple of str
        Concerns about an automatic extraction.
    half : str
        "A" or "B" for that exposure of a pair without the other.
    provisional : bool
        An observer has to confirm it.
    """

    product: str
    target: str
    utc: str
    exptime_s: float | None
    airmass: float | None
    method: str
    quality: int
    snr: float | None
    seeing_arcsec: float | None
    reducer: str
    program: str
    standard: bool
    flux_calibrated: bool
    calibrations: str
    calibration_age: int | None
    flux_calibration: str
    flux_age: int | None
    classification: BestMatch | None = None
    confidence: float | None = None
    doubts: tuple[str, ...] = ()
    half: str = ""
    provisional: bool = False

    @property
    def older(self) -> bool:
        """Calibrations or flux calibration of an earlier night are used."""
        return bool(self.calibration_age or self.flux_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """An observation without a final spectrum."""

    product: str
    target: str
    exptime_s: float
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """A calibration of the night and the figures it reached."""

    step: str
    label: str
    state: str
    reason: str
    frames: int
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything the report tells.

    Attributes
    ----------
    as_of : str
        Time of the last event that is in it; there is no time of writing.
    lost_s : float
        Exposure time of spectra graded 4 or 5 and of observations that failed.
    serving : tuple of str
        Earlier calibrations that are used, in sentences.
    trouble : tuple of str
        Files that cannot be read, frames that are not used, calibrations that are missing.
    account : tuple of str
        The reconciliation of raw files and products.
    efficiency : mapping of band [nm] to share of photons or None
    """

    night: str
    as_of: str
    closed: bool
    sunset: str
    sunrise: str
    lines: tuple[SpectrumLine, ...]
    failed: tuple[Open, ...]
    observer: tuple[Open, ...]
    pending: tuple[Open, ...]
    on_sky_s: float
    lost_s: float
    calibrations: tuple[CalibrationReport, ...]
    serving: tuple[str, ...]
    trouble: tuple[str, ...]
    account: tuple[str, ...]
    efficiency: Mapping[str, float | None]
    standards: int
    seeing_arcsec: tuple[float, float, float] | None
    flexure_px: tuple[float | None, float | None]
    background_e_per_s: float | None
    wavelength_rms_px: float | None
    read_noise_e: Mapping[str, float]
    gain: tuple[float, float, float] | None
    persistence: tuple[float, float] | None


def classification_of(header: Mapping[str, str]) -> BestMatch | None:
    """What the SNID keys of an ASCII spectrum say; None when it was not classified.

    Parameters
    ----------
    header : mapping of key to text
        As `sedmd.products.ascii.read_ascii` gives it.
    """
    kind = header.get("SNIDMATCHTYPE", "").strip()
    if not kind:
        return None
    subtype = header.get("SNIDMATCHSUBTYPE", "").strip()
    return BestMatch(
        type=kind,
        subtype="" if subtype == "-" else subtype,
        redshift=_float(header.get("SNIDMATCHREDSHIFT", header.get("SNIDZMED"))),
        rlap=_float(header.get("SNIDMATCHRLAP")),
        together=header.get("CLASSTYPE", "").strip(),
        secure={"true": True, "false": False}.get(header.get("CLASSSECURE", "").strip().lower()),
    )


def make_report(
    state: NightState,
    spectra: Sequence[FinalSpectrum],
    classified: Mapping[str, BestMatch],
    figures: NightFigures,
    *,
    bands: Sequence[str],
    as_of: str,
    account: Sequence[str] = (),
    trouble: Sequence[str] = (),
) -> Report:
    """Draw up the report of a night.

    Parameters
    ----------
    state : NightState
        As `sedmd.run.status.snapshot` gives it.
    spectra : sequence of FinalSpectrum
    classified : mapping of product to BestMatch
    figures : NightFigures
    bands : sequence of str
        Names of the bands of `figures.efficiency`.
    as_of : str
        Time of the last event.
    account, trouble : sequence of str
        The reconciliation; what could not be read.
    """
    lines = sorted((_line(one, classified.get(one.product)) for one in spectra), key=lambda one: (one.utc, one.product))
    there = {one.product for one in lines}
    rest = [one for one in state.targets if one.name not in there]
    failed = [_open(one) for one in rest if one.failed]
    decided = {one.product for one in spectra if one.by_observer}
    observer = [_open(one) for one in state.targets if one.awaits_observer and one.name not in decided]
    pending = [_open(one) for one in rest if not one.failed and not one.awaits_observer]
    seeing = sorted(one.seeing_arcsec for one in lines if one.seeing_arcsec)
    return Report(
        night=state.night,
        as_of=as_of,
        closed=state.closed,
        sunset=state.sunset.isoformat(timespec="seconds"),
        sunrise=state.sunrise.isoformat(timespec="seconds"),
        lines=tuple(lines),
        failed=tuple(failed),
        observer=tuple(observer),
        pending=tuple(pending),
        on_sky_s=sum(one.exptime_s or 0.0 for one in lines) + sum(one.exptime_s for one in rest),
        lost_s=sum(one.exptime_s or 0.0 for one in lines if one.quality >= LOST_FROM)
        + sum(one.exptime_s for one in failed),
        calibrations=tuple(
            CalibrationReport(
                step=one.step,
                label=one.label,
                state=str(one.state),
                reason=one.reason,
                frames=one.frames,
                figures={name: value for name, value in one.figures.items() if name not in UNSEEN},
            )
            for one in state.calibrations
        ),
        serving=tuple(_serving(state)),
        trouble=(*_trouble(state), *trouble),
        account=tuple(account),
        efficiency=dict(zip(bands, figures.efficiency, strict=True)),
        standards=figures.standards,
        seeing_arcsec=(seeing[0], median(seeing), seeing[-1]) if seeing else None,
        flexure_px=(figures.flexure_x_px, figures.flexure_y_px),
        background_e_per_s=figures.background_e_per_s,
        wavelength_rms_px=figures.wavelength_rms_px,
        read_noise_e=dict(figures.read_noise_e),
        gain=figures.gain,
        persistence=figures.persistence,
    )


def report_values(report: Report) -> dict[str, Any]:
    """The report as plain values, for JSON."""
    return asdict(report)


def _line(one: FinalSpectrum, found: BestMatch | None) -> SpectrumLine:
    cards = one.cards
    method = str(cards.get("EXTRMETH") or "")
    if cards.get("ABPAIR") and "A/B" not in method:
        method = f"{method} A/B".strip()
    half = str(cards.get("PAIRHALF") or "")
    if half and method.split()[-1:] != [half]:
        method = f"{method} {half}".strip()
    return SpectrumLine(
        product=one.product,
        target=one.target,
        utc=str(cards.get("OBSUTC") or ""),
        exptime_s=_float(cards.get("EXPTIME")),
        airmass=_float(cards.get("AIRMASS")),
        method=method,
        quality=one.quality,
        snr=_float(cards.get("SNRMED")),
        seeing_arcsec=_float(cards.get("SEEING")),
        reducer=one.reducer,
        program=str(cards.get("P60PRID") or ""),
        standard=one.standard,
        flux_calibrated=one.calibrated,
        calibrations=str(cards.get("CALNIGHT") or ""),
        calibration_age=_int(cards.get("CALAGE")),
        flux_calibration=str(cards.get("FLXNIGHT") or "") if one.calibrated else "",
        flux_age=_int(cards.get("FLXAGE")) if one.calibrated else None,
        classification=found,
        confidence=None if one.by_observer or one.standard else _float(cards.get("CONFID")),
        provisional=bool(cards.get("PROVIS")),
        doubts=() if one.by_observer else tuple(str(cards[key]) for key in sorted(cards) if _DOUBT.fullmatch(key)),
        half=half,
    )


def _open(one: TargetState) -> Open:
    return Open(
        product=one.name,
        target=one.target,
        exptime_s=float(one.exptime_s or 0.0),
        state=one.stage,
        reason=one.reason,
    )


def _serving(state: NightState) -> list[str]:
    found = []
    if (one := state.fallback) is not None:
        found.append(f"using bias, traces, wavelengths and flat from {one.text}")
    if (flux := state.flux_fallback) is not None:
        found.append(f"using the flux calibration from {flux.text}")
    if state.offers:
        offers = ", ".join(state.offers)
        found.append(f"reduced with an earlier night's calibrations although tonight's are available: {offers}")
    return found


def _trouble(state: NightState) -> list[str]:
    found = [f"geometry change: {state.geometry_change}"] if state.geometry_change else []
    found += [f"calibrations: {one}" for one in state.sets]
    found += [f"missing: {one}" for one in state.missing]
    # a failed extraction or flux calibration is in the line of its observation
    found += [f"failed: {one.step} {one.label}: {one.reason}" for one in state.failed if one.step not in _OF_TARGETS]
    found += [f"held: {one.subject}: {one.reason}" for one in state.held]
    found += [f"name: {one.frame}: {one.reason}" for one in state.contradictions]
    found += [f"not used: {one.frame} {one.state}: {one.reason}" for one in state.rejected_frames]
    return found


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if found - found == 0 else None  # neither NaN nor infinite


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
