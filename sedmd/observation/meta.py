"""What the headers of an observation's cubes tell, typed, from one table of cards; and the figures of its spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sedmd.observation.inputs import Subject
from sedmd.products.conditions import Conditions
from sedmd.products.fitsio import CardValue
from sedmd.products.sky import target_text
from sedmd.raw.cards import number, number_of, text_of, truth, whole
from sedmd.raw.clocks import in_words, mjd_of, start_of
from sedmd.raw.labels import dome_closed
from sedmd.reduce.numeric.containers import FloatArray

#: Airmass for the extinction where no header tells one.
ASSUMED_AIRMASS = 1.0
#: Sky line at which the width of lines is told [Angstrom].
SKY_LINE = 5577.0

Header = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the header of one cube tells of its exposure; None or empty where it does not.

    Attributes
    ----------
    frame : str
        Raw frame.
    utc : str
        Start, ``YYYY-MM-DD HH:MM:SS.s``.
    mjd : float or None
        The same, days.
    exptime_s : float
        NaN where it is not known.
    name : str
        Of the target, as the cards have it.
    ra, dec : str
        Of the target.
    airmass, parallactic_deg : float or None
        Middle of the exposure; the angle N through E.
    req_id : int
        Observation request; 0 for none.
    program : str
    line_sigma_px : float or None
        Gaussian sigma of a lamp line.
    trace_fwhm_px, flexure_x_px, flexure_y_px : float or None
    cal_night : str
        Night of bias, traces, wavelengths and flat.
    cal_age_nights : int
        Nights from it to the frame.
    cal_fallback : bool
        The calibrations are an earlier night's.
    dome_closed : bool
        The dome closed during the exposure.
    """

    frame: str
    utc: str = ""
    mjd: float | None = None
    exptime_s: float = math.nan
    name: str = ""
    ra: str = ""
    dec: str = ""
    airmass: float | None = None
    parallactic_deg: float | None = None
    req_id: int = 0
    program: str = ""
    line_sigma_px: float | None = None
    trace_fwhm_px: float | None = None
    flexure_x_px: float | None = None
    flexure_y_px: float | None = None
    cal_night: str = ""
    cal_age_nights: int = 0
    cal_fallback: bool = False
    dome_closed: bool = False


#: The fact that each card, or pair of cards, tells; what needs more than a card is in `facts_of`.
CARDS: Mapping[str, Callable[[Header], Any]] = {
    "exptime_s": lambda header: number_of(header.get("EXPTIME"), math.nan),
    "name": lambda header: text_of(header, "NAME", "OBJECT"),
    "ra": lambda header: target_text(header)[0],
    "dec": lambda header: target_text(header)[1],
    "req_id": lambda header: max(whole(header.get("REQ_ID")) or 0, 0),
    "program": lambda header: text_of(header, "P60PRID"),
    "line_sigma_px": lambda header: number(header.get("LSFSIGMA")),
    "trace_fwhm_px": lambda header: number(header.get("TRFWHM")),
    "flexure_x_px": lambda header: number(header.get("FLEXX")),
    "flexure_y_px": lambda header: number(header.get("FLEXY")),
    "cal_night": lambda header: text_of(header, "CALNIGHT"),
    "cal_age_nights": lambda header: whole(header.get("CALAGE")) or 0,
    "cal_fallback": lambda header: truth(header.get("CALFALL")) is True,
    "dome_closed": lambda header: dome_closed(header, "ENDDOME"),
}
#: Order of the figures in the header of a spectrum; others follow.
ORDER = (
    *("target", "ra", "dec", "utc", "mjd", "exptime_s", "airmass", "parallactic_deg", "req_id", "program"),
    *("is_pair", "is_standard", "standard", "skysub", "quality", "reducer", "half_of_pair", "method", "confidence"),
    *("x_arcsec", "y_arcsec", "seeing_arcsec", "radius_arcsec", "sky_line_fwhm_nm", "trace_fwhm_px"),
    *("flexure_x_px", "flexure_y_px", "frame", "cal_night", "cal_age_nights", "cal_fallback"),
    *("frame_b", "x_b_arcsec", "y_b_arcsec"),
)


def facts_of(header: Header, frame: str, conditions: Conditions) -> Facts:
    """The facts that a cube's header tells.

    Parameters
    ----------
    header : of the cube
    frame : name of the raw frame, which is one of the clocks
    conditions : of the same header
    """
    start = start_of(header, frame)
    return Facts(
        frame=frame,
        utc=in_words(start.time) if start else "",
        mjd=mjd_of(start.time) if start else None,
        airmass=conditions.airmass,
        parallactic_deg=conditions.parallactic_deg,
        **{name: read(header) for name, read in CARDS.items()},
    )


def mean_airmass(facts: Sequence[Facts]) -> float | None:
    """Of the exposures that tell one; None where none does."""
    told = [one.airmass for one in facts if one.airmass is not None]
    return float(np.mean(told)) if told else None


def airmass_a_less_b(facts: Sequence[Facts]) -> float:
    """Difference in airmass of the halves of a pair; taken as none where one of them is not known."""
    air_a, air_b = (one.airmass for one in facts)
    return 0.0 if air_a is None or air_b is None else air_a - air_b


def airmass_or_assumed(airmass: CardValue) -> tuple[float, bool]:
    """The airmass for the extinction, and whether it had to be assumed."""
    told = number(airmass)
    return (ASSUMED_AIRMASS, True) if told is None else (told, False)


def calibrations_of(facts: Sequence[Facts]) -> Facts | None:
    """The exposure whose calibrations are the older ones; None where none tells."""
    told = [one for one in facts if one.cal_night]
    return max(told, key=lambda one: one.cal_age_nights, default=None)


def figures_of(facts: Sequence[Facts], subject: Subject, wavelength: FloatArray) -> dict[str, CardValue]:
    """What a spectrum's header says of the observation, however the spectrum was extracted.

    Parameters
    ----------
    facts : of one exposure, or of A and B
    subject : Subject
    wavelength : (n_wave,) Angstrom
    """
    first = facts[0]
    figures: dict[str, CardValue] = {
        "target": subject.name or first.name,
        "ra": first.ra,
        "dec": first.dec,
        "utc": first.utc,
        "mjd": first.mjd,
        "exptime_s": sum(one.exptime_s for one in facts),
        "airmass": mean_airmass(facts),
        "parallactic_deg": first.parallactic_deg,
        "req_id": first.req_id,
        "program": first.program,
        "is_pair": len(facts) == 2,
        "is_standard": subject.standard,
        "standard": subject.star,
        "sky_line_fwhm_nm": _sky_line_fwhm_nm(first, wavelength),
        "trace_fwhm_px": first.trace_fwhm_px,
        "flexure_x_px": first.flexure_x_px,
        "flexure_y_px": first.flexure_y_px,
        "frame": first.frame,
    }
    if subject.half:
        figures["half_of_pair"] = subject.half
    if (used := calibrations_of(facts)) is not None:
        figures |= {
            "cal_night": used.cal_night,
            "cal_age_nights": used.cal_age_nights,
            "cal_fallback": used.cal_fallback,
        }
    if len(facts) == 2:
        figures["frame_b"] = facts[1].frame
    return figures


def in_order(figures: Mapping[str, CardValue]) -> dict[str, CardValue]:
    """The figures as a header has them: in the order of `ORDER`, and None for what is no finite number."""
    names = [name for name in ORDER if name in figures] + [name for name in figures if name not in ORDER]
    values = {name: figures[name] for name in names}
    return {key: (None if isinstance(v, float) and not math.isfinite(v) else v) for key, v in values.items()}


def _sky_line_fwhm_nm(facts: Facts, wavelength: FloatArray) -> float | None:
    """FWHM of the sky lines, from the width of the lamp lines [nm]."""
    if facts.line_sigma_px is None:
        return None
    at = int(np.argmin(np.abs(wavelength - SKY_LINE)))
    return 2.355 * facts.line_sigma_px * float(np.gradient(wavelength)[at]) / 10
