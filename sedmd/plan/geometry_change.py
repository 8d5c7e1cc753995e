"""Geometry changes of the instrument: tonight's figures against those of an earlier night, in sentences.

Flexure, temperature, focus and a routine remounting move spectra as a whole and change their widths a little; they
leave the lens array, the prism and the camera what they are. Each limit says what it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NightGeometry:
    """What describes the instrument in the figures of a night's calibrations; None where a figure is missing.

    Attributes
    ----------
    spaxels, complete : spaxels found, and with their whole spectrum on the chip
    pitch_px : distance of neighbouring spaxels
    lattice_angle_deg : from the +x axis of the detector to the q axis of the lattice
    x_px, y_px : middle of the complete spaxels at 6500 Angstrom
    trace_fwhm_px, line_fwhm_px : widths across and along the dispersion
    dispersion_4500, dispersion_6500, dispersion_8500 : Angstrom per column at these wavelengths
    lines : groups of lamp lines identified
    """

    spaxels: float | None = None
    complete: float | None = None
    pitch_px: float | None = None
    lattice_angle_deg: float | None = None
    x_px: float | None = None
    y_px: float | None = None
    trace_fwhm_px: float | None = None
    line_fwhm_px: float | None = None
    dispersion_4500: float | None = None
    dispersion_6500: float | None = None
    dispersion_8500: float | None = None
    lines: float | None = None

    @classmethod
    def from_figures(cls, traces: Mapping[str, object], wavelength: Mapping[str, object]) -> NightGeometry:
        """The geometry from the figures of the steps ``traces`` and ``wavelength``.

        Parameters
        ----------
        traces, wavelength : mapping of name to value
            As the steps return them; what is missing or not a finite number is taken for unknown.
        """
        return cls(
            **{name: _number(traces.get(figure)) for name, figure in TRACES_FIGURES.items()},
            **{name: _number(wavelength.get(figure)) for name, figure in WAVELENGTH_FIGURES.items()},
        )


#: Field of `NightGeometry` -> name of the figure, by step.
TRACES_FIGURES: Mapping[str, str] = {
    "spaxels": "spaxels",
    "complete": "complete",
    "pitch_px": "pitch [px]",
    "lattice_angle_deg": "angle [deg]",
    "x_px": "x [px]",
    "y_px": "y [px]",
    "trace_fwhm_px": "FWHM [px]",
}
WAVELENGTH_FIGURES: Mapping[str, str] = {
    "line_fwhm_px": "line FWHM [px]",
    "dispersion_4500": "A/px 4500",
    "dispersion_6500": "A/px 6500",
    "dispersion_8500": "A/px 8500",
    "lines": "lines",
}


@dataclass(frozen=True, slots=True)
class _Limit:
    """How far a figure may go from one night to the next: `share` of its earlier value, or `step` in its own unit."""

    field: str
    what: str
    unit: str
    means: str
    share: float = 0.0
    step: float = 0.0


_LIMITS = (
    # A field moved by 10 px (a fifth of the pitch) gains and loses that part of its rim: 1.5 % of 1700 spaxels.
    _Limit("spaxels", "spaxels found", "", "part of the array is dark or was not found", share=0.05),
    _Limit("complete", "complete spaxels", "", "part of the array is dark or off the chip", share=0.05),
    # Refocusing changes the scale by some 1e-3; the pitch is measured to 1e-4.
    _Limit("pitch_px", "pitch of the spaxels", "px", "other optics, or a wrong lattice", share=0.003),
    # Half a degree moves the rim of the field by 9 px, more than flexure's search reaches.
    _Limit("lattice_angle_deg", "angle of the lens array", "deg", "the lens array was turned", step=0.5),
    # Half a pitch: from there on the field centre falls on another spaxel.
    _Limit("x_px", "column of the field at 6500 A", "px", "the field moved by more than half a spaxel", step=25.0),
    _Limit("y_px", "row of the field at 6500 A", "px", "the field moved by more than half a spaxel", step=25.0),
    # Night to night, temperature does some per cent to a focus; a sixth is a focus that was lost, or other optics.
    _Limit("trace_fwhm_px", "width of the traces", "px", "out of focus, or other optics", share=0.15),
    _Limit("line_fwhm_px", "width of the lamp lines", "px", "out of focus, or other optics", share=0.15),
    # A prism's dispersion changes by 1e-4 per degree. One line taken for its neighbour, 100-300 A away over a baseline
    # of some thousand, changes the slope by several per cent.
    _Limit("dispersion_4500", "dispersion at 4500 A", "A/px", "lamp lines misidentified?", share=0.015),
    _Limit("dispersion_6500", "dispersion at 6500 A", "A/px", "lamp lines misidentified?", share=0.01),
    _Limit("dispersion_8500", "dispersion at 8500 A", "A/px", "lamp lines misidentified?", share=0.015),
    # Faint groups come and go with the exposure; a third fewer is a faint lamp.
    _Limit("lines", "groups of lamp lines", "", "a faint lamp, or misidentified lines", share=0.34),
)


def geometry_changes(tonight: NightGeometry, before: NightGeometry) -> tuple[str, ...]:
    """Changes of tonight's geometry since an earlier one that are larger than usual from night to night.

    Parameters
    ----------
    tonight, before : NightGeometry
        Figures that either does not know are not compared.

    Returns
    -------
    tuple of str
        One sentence for each change; empty if the geometry is the same.
    """
    found = []
    for limit in _LIMITS:
        now, then = getattr(tonight, limit.field), getattr(before, limit.field)
        if now is None or then is None:
            continue
        change = now - then
        if limit.field == "lattice_angle_deg":
            change = (change + 30.0) % 60.0 - 30.0  # a hexagonal lattice comes back to itself every 60 degrees
        allowed = limit.step or limit.share * abs(then)
        if abs(change) > allowed:
            bound = f"{limit.step:g} {limit.unit}" if limit.step else f"{100 * limit.share:.3g} %"
            unit = f" {limit.unit}" if limit.unit else ""
            found.append(
                f"{limit.what} {now:.6g}{unit}, before {then:.6g}{unit}; at most {bound} of change expected: "
                f"{limit.means}"
            )
    return tuple(found)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
