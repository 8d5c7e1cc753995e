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

    def __call__(self, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Share of the light in a pixel whose centre is `dy` rows from the trace, width `sigma`; broadcasts."""
        return np.asarray(self._lookup(self.value, dy, sigma) / np.asarray(sigma, np.float32))

    def slope(self, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Derivative of the share with respect to a shift of the trace towards higher rows."""
        table = np.asarray(np.gradient(self.value, self.step), float)
        return np.negative(self._lookup(table, dy, sigma)) / np.asarray(sigma, np.float32) ** 2

    def stretch(self, dy: NDArray[np.floating], sigma: NDArray[np.floating]) -> NDArray[np.floating]:
        """Derivative of the share with respect to the width sigma."""
        table: NDArray[np.floating] = -(self.value + self.t * np.asarray(np.gradient(self.value, self.step), float))
        return self._lookup(table, dy, sigma) / np.asarray(sigma, np.float32) ** 2

    def _lookup(
        self, table: NDArray[np.floating], dy: NDArray[np.floating], sigma: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Linear interpolation in the table, zero outside."""
        padded = np.concatenate([table, [0.0, 0.0]]).astype(np.float32)
        position = np.asarray(dy, np.float32) / np.asarray(sigma, np.float32)
        position /= np.float32(self.step)
        position += np.float32((self.value.size - 1) / 2)
        outside = (position < 0) | (position > self.value.size - 1)
        index = position.astype(np.int32)
        np.clip(index, 0, self.value.size - 1, out=index)
        fraction = position - index
        left = padded[index]
        result = left + fraction * (padded[index + 1] - left)
        result[outside] = 0.0
        return result


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


def measure_profile(
    t: NDArray[np.floating], share: NDArray[np.floating], weight: NDArray[np.floating], start: Profile
) -> Profile:
    """Average observed shares into a new table.

    Parameters
    ----------
    t : (n,) distance of the pixel from the trace in units of sigma
    share : (n,) sigma x (pixel - neighbours) / flux of the sample
    weight : (n,) inverse variance of `share`
    start : table whose spacing is kept and whose values fill bins without data

    Returns
    -------
    Profile normalised to unit sum over the table; slightly negative bins in the far wings are set to zero.
    """
    position = t / start.step + (start.value.size - 1) / 2
    ok = (position >= 0) & (position <= start.value.size - 1)
    index = np.floor(position[ok]).astype(int)
    fraction = position[ok] - index
    index2 = np.minimum(index + 1, start.value.size - 1)
    size = start.value.size
    w, s = weight[ok], share[ok]
    # Linear (tent) assignment; dividing by the same tent removes the first-order bias of a sloping profile.
    total = np.bincount(index, w * (1 - fraction), size) + np.bincount(index2, w * fraction, size)
    value_sum = np.bincount(index, w * (1 - fraction) * s, size) + np.bincount(index2, w * fraction * s, size)
    value = np.where(total > 0, value_sum / np.maximum(total, 1e-300), start.value)
    # The tent widens the profile by step**2/6 in t: negligible at step 0.05. Beyond the core smooth the noise away.
    tt = np.abs(start.t)
    smooth = np.convolve(np.pad(value, 6, mode="edge"), np.full(13, 1 / 13), mode="valid")
    value = np.maximum(np.where(tt > 3.5, smooth, value), 0.0)
    return Profile(step=start.step, value=value / (value.sum() * start.step))
