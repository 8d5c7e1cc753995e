"""Stars on a frame of the rainbow camera: where, how bright, how wide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from sedmd.reduce.guide.camera import FILTER_WAVELENGTH, FILTERS
from sedmd.reduce.numeric.containers import FloatArray

#: The sky's level is the median of blocks of so many pixels.
BLOCK = 50
#: A peak of the twofold binned and smoothed frame counts from so many sigma on, and so many of a filter at most.
SIGNIFICANT, MOST = 6.0, 60
#: Half the side of what is cut out about a star [px]; nearer to a rim than that it is not measured.
HALF = 12
#: Width of the window in which the middle of a star is measured, its Gaussian sigma [px], and the rounds.
WINDOW, ROUNDS = 2.2, 8
#: Nearer than this another star counts [px].
APART = 16.0
#: Counts from which a pixel may be saturated [adu].
FULL_ADU = 58000.0
#: Moffat exponent of a star's image. Fitted, it jumps from frame to frame with the few per cent of light in the wings;
#: the same for all, what is wrong with it is the same in target and standard. 2.5 to 4.8 are published for good sites.
BETA = 3.0
#: Widths (alpha, px) among which that of a star is looked for, and the FWHM below which it is a cosmic ray [px].
ALPHAS = np.geomspace(0.7, 14.0, 34)
SHARP_PX = 1.6
#: FWHM for a width alpha of 1; and the FWHM where no star tells it [px].
ALPHA_FWHM = 2 * float(np.sqrt(2 ** (1 / BETA) - 1))
USUAL_PX = 5.0
#: Wavelength for which a width is given [Angstrom], and how widths go with wavelength (Kolmogorov).
REFERENCE, WIDTH_POWER = 6500.0, -0.2
#: The widths of so many stars are measured, the brightest, and these must have that signal-to-noise ratio.
MOST_WIDTHS, WIDTH_SNR = 30, 40.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutouts:
    """What was cut out about each star: pixels less the sky [adu], squared distances [px2] from its middle, the noise
    of a pixel [adu], the width of its filter's images in units of that at 6500 Angstrom, and electron/adu/s, and s."""

    stamps: FloatArray
    r2: FloatArray
    sigma: FloatArray
    wider: FloatArray
    gain: float
    exptime_s: float

    def light(self, fwhm_px: float) -> tuple[FloatArray, FloatArray]:
        """Flux and its error, (n,) electron/s, where stars are so wide at 6500 Angstrom."""
        alpha = fwhm_px / ALPHA_FWHM * self.wider
        amplitude, spread = _amplitudes(self.stamps, _profile(self.r2, alpha[:, None, None]))
        total = np.pi * alpha**2 / (BETA - 1) * self.gain
        electrons = amplitude * total
        error = np.sqrt((spread * self.sigma * total) ** 2 + np.maximum(electrons, 0.0))
        return electrons / self.exptime_s, error / self.exptime_s

    def part(self, chosen: NDArray[np.intp]) -> Cutouts:
        """Some of the stars."""
        return replace(
            self,
            stamps=self.stamps[chosen],
            r2=self.r2[chosen],
            sigma=self.sigma[chosen],
            wider=self.wider[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectedStars:
    """Stars of a frame, the brightest first.

    Attributes
    ----------
    x, y : (n,) px, columns and rows from 0
    flux, error : (n,) electron/s, all light of the Moffat profile; the error is that of photons, sky and read-out
    clean : (n,) bool: alone, not saturated
    band : (n,) filter
    fwhm_px : (n,) px
        At 6500 Angstrom, of the clean bright ones, without the width of a pixel; NaN of all others.
    cutouts : Cutouts
    """

    x: FloatArray
    y: FloatArray
    band: NDArray[np.str_]
    flux: FloatArray
    error: FloatArray
    clean: NDArray[np.bool_]
    fwhm_px: FloatArray
    cutouts: Cutouts

    def as_wide_as(self, fwhm_px: float) -> DetectedStars:
        """The same with the light measured for stars of this FWHM at 6500 Angstrom."""
        flux, error = self.cutouts.light(fwhm_px)
        return replace(self, flux=flux, error=error)

    def __len__(self) -> int:
        return len(self.x)


def find_stars(data: NDArray[np.integer] | FloatArray, *, exptime_s: float, gain: float) -> DetectedStars:
    """Find and measure the stars in the four filters of a frame.

    Parameters
    ----------
    data : (2048, 2048) adu, as read
    exptime_s : float
    gain : electron/adu

    Notes
    -----
    Peaks of the binned frame; their middles in a Gaussian window; then one Moffat profile for the frame, whose width is
    the median over the clean bright stars, each scaled to 6500 Angstrom from the wavelength of its filter; and with it
    the light of each star, its own level of the sky free.
    """
    places, stamps, noise, full, bands = [], [], [], [], []
    for band, (rows, columns) in FILTERS.items():
        part = np.asarray(data[rows, columns], np.float32)
        flat = part - _sky(part)
        sigma = _scatter(flat[::3, ::3])
        at = _peaks(flat)
        for j, i in at:
            cut = slice(j - HALF, j + HALF + 1), slice(i - HALF, i + HALF + 1)
            stamps.append(flat[cut])
            full.append(bool((part[cut][HALF - 4 : HALF + 5, HALF - 4 : HALF + 5] >= FULL_ADU).any()))
        places.append(at[:, ::-1] + np.array([columns.start, rows.start]))
        noise += [sigma] * len(at)
        bands += [band] * len(at)
    where = np.concatenate(places).astype(float).reshape(-1, 2)
    cuts = np.array(stamps, float).reshape(-1, 2 * HALF + 1, 2 * HALF + 1)
    offset, centred = _middles(cuts)
    where += offset
    near = cKDTree(where).query(where, k=2)[0][:, 1] if len(where) > 1 else np.full(len(where), np.inf)
    clean = centred & ~np.array(full, bool) & (near > APART)
    cutouts = Cutouts(
        stamps=cuts,
        r2=_squares(offset),
        sigma=np.maximum(np.array(noise, float), 1e-3),
        wider=np.array([(FILTER_WAVELENGTH[band] / REFERENCE) ** WIDTH_POWER for band in bands]),
        gain=gain,
        exptime_s=exptime_s,
    )
    fwhm = _widths(cutouts, clean)
    known = fwhm[np.isfinite(fwhm)]
    flux, error = cutouts.light(float(np.median(known)) if len(known) else USUAL_PX)
    order = np.argsort(-flux, kind="stable")
    return DetectedStars(
        x=where[order, 0],
        y=where[order, 1],
        band=np.array(bands, "U1")[order],
        flux=flux[order],
        error=error[order],
        clean=(clean & (flux > 0))[order],
        fwhm_px=fwhm[order],
        cutouts=cutouts.part(order),
    )


def _scatter(values: FloatArray) -> float:
    """Standard deviation, robust."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _sky(part: FloatArray) -> FloatArray:
    """Level of the sky, as smooth as the medians of blocks are."""
    rows, columns = part.shape[0] // BLOCK, part.shape[1] // BLOCK
    blocks = part[: rows * BLOCK : 2, : columns * BLOCK : 2].reshape(rows, BLOCK // 2, columns, BLOCK // 2)
    levels = np.median(blocks, axis=(1, 3))
    coarse = 10
    y = (np.arange(0, part.shape[0] + coarse, coarse) + 0.5 - BLOCK / 2) / BLOCK
    x = (np.arange(0, part.shape[1] + coarse, coarse) + 0.5 - BLOCK / 2) / BLOCK
    fine = map_coordinates(levels, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest")
    found: FloatArray = np.repeat(np.repeat(fine, coarse, axis=0), coarse, axis=1)[: part.shape[0], : part.shape[1]]
    return found.astype(np.float32)


def _peaks(flat: FloatArray) -> NDArray[np.intp]:
    """Rows and columns of the brightest peaks, (n, 2), far enough from the rim."""
    rows, columns = flat.shape[0] // 2, flat.shape[1] // 2
    binned = flat[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    smooth = gaussian_filter(binned, 1.0)
    high = smooth > SIGNIFICANT * _scatter(smooth[::2, ::2])
    high &= smooth == maximum_filter(smooth, 7)
    at = np.argwhere(high)
    at = at[np.argsort(-smooth[high], kind="stable")] * 2
    inside = (at > HALF + 2).all(axis=1) & (at < np.array(flat.shape) - HALF - 3).all(axis=1)
    return at[inside][:MOST]


def _grid() -> tuple[FloatArray, FloatArray]:
    axis = np.arange(-HALF, HALF + 1, dtype=float)
    return np.meshgrid(axis, axis)


def _middles(stamps: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Middle of each star from that of its stamp (n, 2), and whether it was found."""
    dx, dy = _grid()
    ring = np.hypot(dx, dy) > HALF - 3
    light = stamps - np.median(stamps[:, ring], axis=1)[:, None, None]
    middle = np.zeros((len(stamps), 2))
    for _ in range(ROUNDS):
        ox, oy = dx[None] - middle[:, 0, None, None], dy[None] - middle[:, 1, None, None]
        weight = light * np.exp(-0.5 * (ox**2 + oy**2) / WINDOW**2)
        total = weight.sum(axis=(1, 2))
        step = 2 * np.stack([(weight * ox).sum(axis=(1, 2)), (weight * oy).sum(axis=(1, 2))], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            middle += np.clip(np.nan_to_num(step / total[:, None]), -1.5, 1.5)
        middle = np.clip(middle, -5, 5)
    return middle, (total > 0) & (np.abs(middle) < 4).all(axis=1)


def _squares(offset: FloatArray) -> FloatArray:
    """Squared distance of each pixel of a stamp from the middle of its star, (n, side, side)."""
    dx, dy = _grid()
    found: FloatArray = (dx[None] - offset[:, 0, None, None]) ** 2 + (dy[None] - offset[:, 1, None, None]) ** 2
    return found


def _amplitudes(stamps: FloatArray, shape: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Height of a profile in each stamp, the level free, by least squares; and its error for noise of 1."""
    axes = (-2, -1)
    count = shape.shape[-1] * shape.shape[-2]
    even = shape - shape.sum(axis=axes, keepdims=True) / count
    norm = (even**2).sum(axis=axes)
    return (stamps * even).sum(axis=axes) / norm, 1 / np.sqrt(norm)


def _widths(given: Cutouts, clean: NDArray[np.bool_]) -> FloatArray:
    """FWHM of the clean bright stars at 6500 Angstrom, (n,) px; NaN of all others, and of cosmic rays."""
    stamps, r2, wider = given.stamps, given.r2, given.wider
    near = r2 < (HALF - 3) ** 2
    snr = np.where(near, stamps, 0.0).sum(axis=(1, 2)) / (given.sigma * np.sqrt(np.maximum(near.sum(axis=(1, 2)), 1)))
    bright = np.flatnonzero(clean & (snr > WIDTH_SNR))
    bright = bright[np.argsort(-snr[bright], kind="stable")][:MOST_WIDTHS]
    fwhm = np.full(len(stamps), np.nan)
    if not len(bright):
        return fwhm
    height, error = _amplitudes(stamps[bright][:, None], _profile(r2[bright][:, None], ALPHAS[None, :, None, None]))
    gained = (height / error) ** 2  # by so much chi-square falls
    at = np.argmax(gained, axis=1)
    inside = (at > 0) & (at < len(ALPHAS) - 1)
    at = np.clip(at, 1, len(ALPHAS) - 2)
    left, mid, right = (np.take_along_axis(gained, (at + k)[:, None], 1)[:, 0] for k in (-1, 0, 1))
    bend = left - 2 * mid + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    alpha = np.exp(np.interp(at + np.clip(shift, -1, 1), np.arange(len(ALPHAS)), np.log(ALPHAS)))
    found = alpha * ALPHA_FWHM
    fwhm[bright] = np.where(inside & (found > SHARP_PX), found / wider[bright], np.nan)
    return fwhm


def _profile(r2: FloatArray, alpha: FloatArray) -> FloatArray:
    """Moffat profile of height 1, averaged over the pixel.

    The mean of a function over a unit square is its value in the middle and a 24th of its Laplacian, for what is wide
    against the pixel.
    """
    u = r2 / alpha**2
    value = (1 + u) ** -BETA
    curved = 4 / alpha**2 * value * BETA * ((BETA + 1) * u / (1 + u) ** 2 - 1 / (1 + u))
    found: FloatArray = value + curved / 24
    return found
