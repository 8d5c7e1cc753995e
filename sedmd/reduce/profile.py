"""The profile of a trace across the dispersion: measured, not assumed.

The profile is a table over the distance from the centre in units of the local width, already integrated over a pixel,
so that the value at a pixel's centre is the share of the light that falls into that pixel. It starts as a Gaussian
and is then replaced by what the dome frame shows, wings included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf


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
        """Largest |t| of the table."""
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

    def _look_up(self, table: NDArray, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Linear interpolation in the table, zero outside."""
        return np.interp(dy / sigma, self.t, table, left=0.0, right=0.0)


def gaussian_profile(*, t_max: float = 9.0, step: float = 0.05, pixel_in_sigma: float = 0.75) -> Profile:
    """A Gaussian whose pixel-integrated rms is 1 in units of sigma.

    Parameters
    ----------
    t_max, step : extent and spacing of the table
    pixel_in_sigma : size of a pixel in units of the width; the rms of the pixel itself is taken off the Gaussian

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


def measured_profile(weight: NDArray[np.floating], moment: NDArray[np.floating], start: Profile) -> Profile:
    """The profile that observed shares make.

    Parameters
    ----------
    weight, moment : (m,) sums of weight, and of weight x sigma x observed share, around each entry of the table
    start : table whose spacing is kept and whose values fill entries without data

    Returns
    -------
    Profile normalised to unit sum over the table; slightly negative entries in the far wings are set to zero.
    """
    value = np.where(weight > 0, moment / np.maximum(weight, 1e-300), start.value)
    # The tent of the sums widens the profile by step**2/6 in t: negligible at step 0.05. Beyond the core smooth the
    # noise away.
    smooth = np.convolve(np.pad(value, 6, mode="edge"), np.full(13, 1 / 13), mode="valid")
    value = np.maximum(np.where(np.abs(start.t) > 3.5, smooth, value), 0.0)
    return Profile(step=start.step, value=value / (value.sum() * start.step))
