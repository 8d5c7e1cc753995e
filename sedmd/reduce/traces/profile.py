"""The profile of a trace across the dispersion: measured, not assumed.

The profile is a table over the distance from the centre in units of the local width, already integrated over a pixel,
so that the value at a pixel's centre is the share of the light that falls into that pixel. It starts as a Gaussian
and is then replaced by what the dome frame shows, wings included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

#: Distance in units of the width up to which the profile is that of the dome, and over which it goes over into the
#: wings of the lamps' lines.
CORE, BLEND = 2.3, 0.8
#: Distance from which the noise is smoothed away, and from which the wings are continued: a neighbour's core is near.
SMOOTHED, FAR = 3.2, 4.2
#: Power of the distance with which they fall: between that of a Moffat image of exponent two (four) and that of light
#: scattered by dust and rough surfaces (two to three).
FALL = 3.0
#: Error of the mean share in the wings, in units of the table, from which the lamps say nothing about them: a tenth of
#: what wings of a few per cent of the light hold there.
WING_ERROR = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Cross-dispersion profile on a regular table.

    Attributes
    ----------
    step : float, spacing of the table in units of the local width sigma
    value : (m,) table for t = -t_max .. t_max; value(t) / sigma is the share of the light in a pixel at t = dy / sigma
    """

    step: float
    value: NDArray[np.floating]

    @property
    def t_max(self) -> float:
        """Largest distance in the table."""
        return self.step * (self.value.size - 1) / 2

    @property
    def t(self) -> NDArray[np.floating]:
        """(m,) abscissae of the table."""
        return self.step * (np.arange(self.value.size) - (self.value.size - 1) / 2)

    @property
    def table(self) -> NDArray[np.float64]:
        """(m + 1,) the values and a zero, so that the interpolation between the last two needs no case of its own."""
        return np.append(self.value, 0.0)

    @property
    def slope_table(self) -> NDArray[np.float64]:
        """(m + 1,) derivative of the values with t."""
        return np.append(np.gradient(self.value, self.step), 0.0)

    @property
    def stretch_table(self) -> NDArray[np.float64]:
        """(m + 1,) ``sigma**2`` times the derivative of the share with the width."""
        return np.append(-(self.value + self.t * np.gradient(self.value, self.step)), 0.0)

    def __call__(self, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Share of the light in a pixel whose centre is `dy` rows from the trace, width `sigma`; broadcasts."""
        return self._look_up(self.value, dy, sigma) / sigma

    def slope(self, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Derivative of the share with respect to a shift of the trace towards higher rows."""
        return -self._look_up(self.slope_table[:-1], dy, sigma) / sigma**2

    def stretch(self, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Derivative of the share with respect to the width sigma."""
        return self._look_up(self.stretch_table[:-1], dy, sigma) / sigma**2

    def _look_up(
        self, table: NDArray[Any], dy: NDArray[np.floating], sigma: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Linear interpolation in the table, zero outside."""
        found: NDArray[np.floating] = np.interp(dy / sigma, self.t, table, left=0.0, right=0.0)
        return found


def gaussian_profile(*, t_max: float = 9.0, step: float = 0.05, pixel_in_sigma: float = 0.75) -> Profile:
    """A Gaussian whose pixel-integrated rms is 1 in units of sigma.

    Parameters
    ----------
    t_max, step : extent and spacing of the table
    pixel_in_sigma : size of a pixel in units of the width; the rms of the pixel itself is subtracted from the Gaussian

    Returns
    -------
    Profile
    """
    n = round(t_max / step)
    t = step * np.arange(-n, n + 1)
    core = np.sqrt(1 - pixel_in_sigma**2 / 12)
    half = pixel_in_sigma / 2
    value = (erf((t + half) / core / np.sqrt(2)) - erf((t - half) / core / np.sqrt(2))) / (2 * pixel_in_sigma)
    return Profile(step=step, value=value)


def measured_profile(core: NDArray[np.floating], wings: NDArray[np.floating] | None, start: Profile) -> Profile:
    """The profile that observed shares make.

    Parameters
    ----------
    core : (2, m) sums of weight, and of weight x sigma x observed share, around each entry of the table, where all
        spectra shine
    wings : (2, m) the same where a spectrum shines and its neighbours do not, in the lines of lamps; None: there are
        none
    start : table whose spacing is kept and whose values fill entries without data

    Returns
    -------
    Profile normalised to unit sum over the table, nowhere negative

    Notes
    -----
    Where all spectra shine, the wings of two neighbours and the scattered light between them look alike, and a wing
    that reaches its neighbour's core looks like the neighbour's light. A lamp's line has dark neighbours, so its wings
    show, as far as the neighbour's core; from `FAR` on they are continued by a power.
    """
    value = _shares(core, start)
    t = np.abs(start.t)
    if wings is not None and _known(wings, t):
        part = np.clip((t - CORE) / BLEND + 0.5, 0.0, 1.0)
        value = (1 - part) * value + part * _shares(wings, start)
    # The tent of the sums widens the profile by step**2/6 in t: negligible at step 0.05. Beyond the core smooth the
    # noise away.
    smooth = np.convolve(np.pad(value, 6, mode="edge"), np.full(13, 1 / 13), mode="valid")
    value = np.where(t > SMOOTHED, smooth, value)
    for side in (start.t > 0, start.t < 0):
        level = _wing_level(t[side], value[side])
        value[side & (t >= FAR)] = level * t[side & (t >= FAR)] ** -FALL
    value = _centred(start.t, np.maximum(value, 0.0))
    return Profile(step=start.step, value=value / (value.sum() * start.step))


def _centred(t: NDArray[np.floating], value: NDArray[np.floating]) -> NDArray[np.floating]:
    """The values with the middle of their core at zero: what is called the row of a trace must stay the same."""
    inner, off = np.abs(t) < CORE, 0.0
    for _ in range(3):  # the core is cut off at fixed places, so that not all of a shift is seen at once
        moved = np.interp(t + off, t, value)
        off += float((t * moved)[inner].sum() / moved[inner].sum())
    found: NDArray[np.floating] = np.interp(t + off, t, value)
    return found


def _shares(sums: NDArray[np.floating], start: Profile) -> NDArray[np.floating]:
    return np.where(sums[0] > 0, sums[1] / np.maximum(sums[0], 1e-300), start.value)


def _wing_level(t: NDArray[np.floating], value: NDArray[np.floating]) -> float:
    """Factor of ``t**-FALL`` beside which the core, a Gaussian of width one there, makes up the values up to `FAR`.

    Without the core its foot would count as wing, and the wings would come out half as high again.
    """
    near = (t > CORE) & (t < FAR)
    design = np.column_stack([t[near] ** -FALL, np.exp(-0.5 * t[near] ** 2)])
    # Each value counts by its share, so that the core's steep side does not outweigh the wing.
    weight = 1.0 / np.maximum(value[near], 1e-4)
    answer = np.linalg.lstsq(design * weight[:, None], value[near] * weight, rcond=None)[0]
    return max(float(answer[0]), 0.0)


def _known(wings: NDArray[np.floating], t: NDArray[np.floating]) -> bool:
    """Whether the lines say enough about the wings: none do that did not shine."""
    information = wings[0][(t > SMOOTHED) & (t < FAR)].sum()
    return bool(information > WING_ERROR**-2.0)
