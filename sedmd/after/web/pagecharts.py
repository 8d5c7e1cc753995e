"""Charts of the night's web page: spectra, sensitivity, and the instrument through the night and over the nights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np

from sedmd.after.report.efficiency import BAND_NAMES
from sedmd.after.report.figures import NightFigures
from sedmd.after.web.chart import Chart, Curve, draw_chart
from sedmd.data.telluric import BANDS
from sedmd.reduce.flux.sensitivity import Sensitivity
from sedmd.reduce.numeric.containers import FloatArray, Spectrum

_TELLURIC = tuple((start, stop) for _, start, stop in BANDS)
_UNITS = {"erg / (s cm2 Angstrom)": "erg/s/cm²/Å", "electron / (s Angstrom)": "electron/s/Å"}


def spectrum_chart(spectrum: Spectrum, *, title: str) -> str:
    """A spectrum with its error, and the sky brought to two fifths of the height."""
    wavelength, flux, error = spectrum.wavelength, spectrum.flux, spectrum.error
    scale, power = _power(flux)
    low, high = _limits(wavelength, flux / scale)
    curves = []
    sky = spectrum.sky / scale
    good = sky[np.isfinite(sky)]
    peak = float(np.percentile(good, 97)) if len(good) else 0.0
    if peak > 0:
        curves.append(Curve(x=wavelength, y=sky * 0.4 * (high - max(low, 0.0)) / peak, look="sky", label="sky, scaled"))
    curves.append(Curve(x=wavelength, y=(flux - error) / scale, top=(flux + error) / scale, look="error"))
    curves.append(Curve(x=wavelength, y=flux / scale, look="c0", label="object, ± 1 σ"))
    unit = _UNITS.get(spectrum.unit, spectrum.unit)
    return draw_chart(
        Chart(
            curves=curves,
            x_label="wavelength in air [Å]",
            y_label=f"flux [{power}{unit}]",
            title=title,
            x_range=(float(wavelength[0]), float(wavelength[-1])),
            y_range=(low, high),
            shaded=_TELLURIC,
        )
    )


def sensitivity_chart(sensitivity: Sensitivity) -> str:
    """The night's sensitivity with the error of its mean."""
    scale, power = _power(sensitivity.value)
    value = sensitivity.value / scale
    with np.errstate(invalid="ignore"):
        low, high = value * (1 - sensitivity.error), value * (1 + sensitivity.error)
    return draw_chart(
        Chart(
            curves=[
                Curve(x=sensitivity.wavelength, y=low, top=high, look="error"),
                Curve(x=sensitivity.wavelength, y=value, look="c0"),
            ],
            x_label="wavelength in air [Å]",
            y_label=f"[{power}e/s/Å per erg/s/cm²/Å]",
            title="sensitivity",
            x_range=(float(sensitivity.wavelength[0]), float(sensitivity.wavelength[-1])),
            shaded=_TELLURIC,
        )
    )


def flexure_chart(night: NightFigures) -> str:
    """Flexure of the exposures through the night."""
    at = [_value(one.utc_hour) for one in night.exposures]
    return draw_chart(
        Chart(
            curves=[
                Curve(
                    x=at,
                    y=[_value(one.flexure_x_px) for one in night.exposures],
                    look="c0",
                    label="x, along dispersion",
                    dots=True,
                ),
                Curve(
                    x=at,
                    y=[_value(one.flexure_y_px) for one in night.exposures],
                    look="c1",
                    label="y, across",
                    dots=True,
                ),
            ],
            x_label="UT [h]",
            y_label="flexure [px]",
            title="flexure",
        )
    )


def background_chart(night: NightFigures) -> str:
    """Light between the traces of the exposures through the night."""
    rate = [1000 * _value(one.background_e_per_s) for one in night.exposures]
    return draw_chart(
        Chart(
            curves=[Curve(x=[_value(one.utc_hour) for one in night.exposures], y=rate, dots=True)],
            x_label="UT [h]",
            y_label="between traces [10⁻³ e/s/px]",
            title="background",
        )
    )


def efficiency_chart(nights: Sequence[NightFigures]) -> str:
    """Efficiency of telescope and instrument over the nights that have one, per cent."""
    nights = [one for one in nights if any(share is not None for share in one.efficiency)]
    days = [datetime.strptime(one.night, "%Y%m%d").toordinal() for one in nights]
    curves = []
    for at, name in enumerate(BAND_NAMES):
        share = [100 * _value(one.efficiency[at]) for one in nights]
        curves.append(Curve(x=days, y=share, look=f"c{at}", label=name))
        curves.append(Curve(x=days, y=share, look=f"c{at}", dots=True))
    known = [100 * share for one in nights for share in one.efficiency if share is not None]
    room = 0.05 * (days[-1] - days[0]) + 0.5
    return draw_chart(
        Chart(
            curves=curves,
            x_label=f"night, {nights[0].night} to {nights[-1].night}; colours: wavelength [nm]",
            y_label="efficiency [%]",
            title="efficiency over the nights",
            x_range=(days[0] - room, days[-1] + room),
            y_range=(0.0, 1.25 * max(known)),
            x_ticks=[(day, f"{date.fromordinal(day):%m-%d}") for day in _apart(days, 5)],
        )
    )


def _apart(days: Sequence[int], count: int) -> list[int]:
    """Of the days the last, and others before it, so far apart that `count` of them have room."""
    step = max(1, -(-(days[-1] - days[0]) // count))
    chosen = [days[-1]]
    for day in reversed(days):
        if chosen[-1] - day >= step:
            chosen.append(day)
    return chosen[::-1]


def _value(value: float | None) -> float:
    return np.nan if value is None else value


def _power(values: FloatArray) -> tuple[float, str]:
    """A power of ten that brings the values near 1, and how it is written."""
    good = np.abs(values[np.isfinite(values)])
    level = float(np.percentile(good, 90)) if len(good) else 0.0
    if level <= 0 or 0.01 <= level < 1e4:
        return 1.0, ""
    exponent = int(np.floor(np.log10(level)))
    return 10.0**exponent, "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")) + " "


def _limits(wavelength: FloatArray, flux: FloatArray) -> tuple[float, float]:
    """Set by what lies between 4000 and 9000 Angstrom, if anything does: the ends are noise."""
    good = np.isfinite(flux)
    inner = good & (wavelength > 4000) & (wavelength < 9000)
    values = flux[inner] if inner.any() else flux[good]
    if len(values) == 0:
        return -0.1, 1.0
    low, high = (float(limit) for limit in np.percentile(values, [1, 99.3]))
    room = max(high - min(low, 0.0), 1e-9)
    return min(low, 0.0) - 0.06 * room, max(high, 0.0) + 0.25 * room
