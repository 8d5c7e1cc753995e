"""Pictures of the field: ranges of wavelength, limits, stretches, colours. Numbers only, no window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.visualization import ZScaleInterval

from sedmd.reduce.numeric.containers import FloatArray


@dataclass(frozen=True, slots=True)
class WavelengthRange:
    """A range of wavelength [Angstrom] and what it is called."""

    name: str
    low: float
    high: float


#: Ranges to look at. The first is the one that the windows before this one showed; g, r and i are about SDSS's.
WINDOWS: tuple[WavelengthRange, ...] = (
    WavelengthRange("red", 6500.0, 7000.0),
    WavelengthRange("white", 5000.0, 8000.0),
    WavelengthRange("g", 4000.0, 5500.0),
    WavelengthRange("r", 5620.0, 6980.0),
    WavelengthRange("i", 6910.0, 8190.0),
)
H_ALPHA = 6562.8
#: Half width of the window about a line [Angstrom]: the instrument's line is some 60 Angstrom wide there.
LINE_HALF_WIDTH = 60.0
MIN_WIDTH = 50.0
#: So near to the middle of an aperture the object's peak is looked for [arcsec]: two spaxels about it.
PEAK_RADIUS = 1.5


def windows_at(redshift: float) -> tuple[WavelengthRange, ...]:
    """The presets, with the one about H-alpha at a redshift."""
    middle = H_ALPHA * (1 + redshift)
    return (*WINDOWS, WavelengthRange("Hα", middle - LINE_HALF_WIDTH, middle + LINE_HALF_WIDTH))


def bounded(low: float, high: float, wavelength: FloatArray) -> tuple[float, float]:
    """A range of at least `MIN_WIDTH` that lies on the cube."""
    first, last = float(wavelength[0]), float(wavelength[-1])
    low, high = min(low, high), max(low, high)
    low = min(max(low, first), max(last - MIN_WIDTH, first))
    return round(low, 1), round(max(min(high, last), min(low + MIN_WIDTH, last)), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourScale:
    """Values at the two ends of the colours; the noise that sets the size of a step; the stretch; who set it.

    `how` names the automatic rule, or is "by hand".
    """

    low: float
    high: float
    step: float
    stretch: str = "linear"
    how: str = "by hand"

    def widened(self, factor: float) -> ColourScale:
        """Both ends apart (factor above 1) or together, about the middle; never closer than a step."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        half = max(half * factor, self.step)
        return replace(self, low=middle - half, high=middle + half, how="by hand")

    def with_high(self, factor: float) -> ColourScale:
        """The upper end further (factor above 1) from the lower one or nearer to it."""
        return replace(self, high=self.low + max((self.high - self.low) * factor, self.step), how="by hand")

    def with_low(self, steps: float) -> ColourScale:
        """The lower end moved by steps of the noise, staying below the upper one."""
        return replace(self, low=min(self.low + steps * self.step, self.high - self.step), how="by hand")


def _linear(t: FloatArray) -> FloatArray:
    return t


def _sqrt(t: FloatArray) -> FloatArray:
    return np.sign(t) * np.sqrt(np.abs(t))


def _asinh(t: FloatArray) -> FloatArray:
    found: FloatArray = np.arcsinh(t * 10) / np.arcsinh(10.0)
    return found


def _log(t: FloatArray) -> FloatArray:
    found: FloatArray = np.sign(t) * np.log1p(np.abs(t) * 300) / np.log1p(300.0)
    return found


#: Stretches map 0 to 0 and 1 to 1, and are odd, so that A minus B stays centred on the middle of its scale.
STRETCHES: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "linear": _linear,
    "asinh": _asinh,
    "sqrt": _sqrt,
    "log": _log,
}


def levels(values: FloatArray, scale: ColourScale, *, symmetric: bool) -> FloatArray:
    """Place of each value along the colours, 0 to 1; NaN stays NaN.

    For a difference the stretch works from the middle outwards.
    """
    stretch = STRETCHES[scale.stretch]
    span = max(scale.high - scale.low, 1e-300)
    with np.errstate(invalid="ignore"):
        if symmetric:
            t = np.clip((values - 0.5 * (scale.low + scale.high)) / (0.5 * span), -1, 1)
            return np.asarray(0.5 + 0.5 * stretch(t))
        return np.asarray(stretch(np.clip((values - scale.low) / span, 0, 1)))


def _noise(good: FloatArray) -> tuple[float, float]:
    middle = float(np.median(good))
    sigma = float(1.4826 * np.median(np.abs(good - middle)))
    return middle, max(sigma, 1e-6 * max(abs(middle), 1.0))


def _object_limits(good: FloatArray) -> tuple[float, float]:
    middle, sigma = _noise(good)
    return middle - 2 * sigma, max(middle + 6 * sigma, float(np.percentile(good, 99.7)))


def _zscale(good: FloatArray) -> tuple[float, float]:
    low, high = ZScaleInterval(n_samples=len(good)).get_limits(good)
    return float(low), float(high)


def _three_sigma(good: FloatArray) -> tuple[float, float]:
    middle, sigma = _noise(good)
    return middle - 3 * sigma, middle + 3 * sigma


def _percent(low: float, high: float) -> Callable[[FloatArray], tuple[float, float]]:
    def limits(good: FloatArray) -> tuple[float, float]:
        dark, bright = np.percentile(good, [low, high])
        return float(dark), float(bright)

    return limits


def _all(good: FloatArray) -> tuple[float, float]:
    return float(good.min()), float(good.max())


#: Automatic limits, in the order in which a key goes through them.
LIMITS: Mapping[str, Callable[[FloatArray], tuple[float, float]]] = {
    "noise and object": _object_limits,
    "99.5 %": _percent(0.5, 99.5),
    "98 %": _percent(2, 98),
    "zscale": _zscale,
    "3 sigma": _three_sigma,
    "min-max": _all,
}


def automatic_scale(
    values: FloatArray, *, symmetric: bool, how: str = "", stretch: str = "linear", peak: float | None = None
) -> ColourScale:
    """Limits by a rule of `LIMITS`; for A minus B symmetric about the median of the field.

    The sky of A and B is never quite the same. About zero the difference would lie on one arm of the colours, which a
    logarithmic stretch spreads over the whole field.

    Parameters
    ----------
    values : (n_spaxel,), NaN where there is none
    symmetric : bool
    how : str
        Key of `LIMITS`; by default the first, which shows noise and object.
    peak : float, optional
        How far the object rises above the median (`peak_near`). The first rule ends there: a brighter star elsewhere
        in the field does not make the object dark.
    """
    how = how or next(iter(LIMITS))
    good = values[np.isfinite(values)]
    if len(good) == 0:
        return ColourScale(low=-1.0 if symmetric else 0.0, high=1.0, step=0.1, stretch=stretch, how=how)
    middle, sigma = _noise(good)
    by_object = how == next(iter(LIMITS))
    if symmetric:
        apart = good - middle
        low, high = LIMITS[how](np.concatenate([apart, -apart]))
        reach = max(abs(low), abs(high), 3 * sigma)
        if by_object:
            reach = max(5 * sigma, 0.7 * float(np.percentile(np.abs(apart), 99.5)) if peak is None else peak)
        low, high = middle - reach, middle + reach
    elif by_object and peak is not None:
        low, high = middle - 2 * sigma, middle + max(6 * sigma, peak)
    else:
        low, high = LIMITS[how](good)
    if not high - low >= sigma * 1e-3:
        low, high = low - 2 * sigma, low + 2 * sigma
    return ColourScale(low=low, high=high, step=sigma, stretch=stretch, how=how)


def peak_near(
    values: FloatArray, x_arcsec: FloatArray, y_arcsec: FloatArray, places: Sequence[tuple[float, float]]
) -> float | None:
    """How far an object stands out of the median of the field, up or down; None where no place has two values.

    Parameters
    ----------
    values, x_arcsec, y_arcsec : (n_spaxel,)
        NaN where there is no value.
    places : sequence of (x, y)
        Where objects are, arcsec. Of each place the second largest of the values within `PEAK_RADIUS` counts: one hot
        spaxel is no object.
    """
    known = np.isfinite(values)
    if not known.any():
        return None
    apart = np.abs(values - np.median(values[known]))
    found = [np.sort(apart[known & (np.hypot(x_arcsec - x, y_arcsec - y) < PEAK_RADIUS)])[-2:] for x, y in places]
    peaks = [float(two[0]) for two in found if len(two) == 2]
    return max(peaks) if peaks else None


def next_limits(how: str) -> str:
    """The rule after this one."""
    rules = list(LIMITS)
    return rules[(rules.index(how) + 1) % len(rules)] if how in rules else rules[0]
