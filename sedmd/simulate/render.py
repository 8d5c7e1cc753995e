"""From light to expected electrons on the chip.

Order of the physics: light enters the lenslets, is dispersed (monochromatic line-spread function of a width that
changes with lenslet and wavelength), is spread across the dispersion (Gaussian core and far wings), and a few percent
of all of it is scattered into a broad halo. Profile wings out to `REACH` px of the trace centre are part of the
profile; what lies farther out is counted as scattered light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, shift
from scipy.special import ndtr

from sedmd.core.errors import ConfigError
from sedmd.simulate.optics import BLUE_END, RED_END, Optics
from sedmd.simulate.sources import shares_at
from sedmd.simulate.spectra import GRID

REACH = 10  # px from the trace centre that count as its profile
BLOCK = 16  # px, cell of the scattered-light map
SUB = 2  # bins per column for smooth spectra
_LEAD = 12  # columns of margin at either end of a spectrum


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LightComponent:
    """One component of the light that enters the lenslets during an exposure.

    Attributes
    ----------
    continuum : ndarray (len(GRID),) or None
        Electrons per Angstrom in a lenslet of perfect relative throughput.
    line_wavelength, line_electrons : ndarray (l,) or None
        Monochromatic lines, electrons in such a lenslet.
    factor : ndarray (n,) or None
        Illumination of each lenslet.
    shares : ndarray (n, m) or None
        Share of the light in each lenslet at ``sources.NODES`` (point and extended objects).
    """

    continuum: np.ndarray | None = None
    line_wavelength: np.ndarray | None = None
    line_electrons: np.ndarray | None = None
    factor: np.ndarray | None = None
    shares: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Electrons per column of every lenslet's spectrum, not yet spread in y.

    `flux` and `wavelength` have shape (n, w); column 0 of row i is chip column ``first[i]``.
    """

    first: np.ndarray
    flux: np.ndarray
    wavelength: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """Expected electrons: total image, and the scattered part of it on a coarse grid (electrons per pixel)."""

    image: np.ndarray
    scattered: np.ndarray


def column_flux(
    optics: Optics, lights: list[LightComponent], *, flexure_x: float = 0.0, breathing: float = 1.0
) -> Columns:
    """Disperse the light of all components along the columns.

    Parameters
    ----------
    optics : Optics
        The instrument.
    lights : list of LightComponent
        Components; their sum is rendered.
    flexure_x : float
        Shift of the spectra towards higher x, px.
    breathing : float
        Factor of all widths (focus).

    Returns
    -------
    Columns
        Sums of electrons per lenslet and column; nothing is lost at the ends of the spectra.
    """
    n = len(optics)
    ends = optics.x_of(np.array([RED_END, BLUE_END])) + flexure_x
    low, high = ends.min(axis=1), ends.max(axis=1)
    first = np.floor(low).astype(int) - _LEAD
    width = int(np.ceil(np.max(high - first))) + _LEAD
    edges = first[:, None] - 0.5 + np.arange(width * SUB + 1) / SUB - flexure_x
    lam = optics.wavelength_of(edges)
    middle = 0.5 * (lam[:, 1:] + lam[:, :-1])
    relative = optics.throughput(middle)
    bins = np.zeros((n, width * SUB))
    smooth = False
    for light in lights:
        if light.continuum is None:
            continue
        smooth = True
        total = np.concatenate(([0.0], np.cumsum(0.5 * (light.continuum[1:] + light.continuum[:-1]) * np.diff(GRID))))
        part = np.abs(np.diff(np.interp(lam, GRID, total), axis=1))
        if light.factor is not None:
            part *= light.factor[:, None]
        if light.shares is not None:
            part *= shares_at(light.shares, middle)
        bins += part
    bins *= relative
    centre = lam[:, SUB // 2 :: SUB][:, :width]
    flux = np.zeros((n, width))
    if smooth:
        # a bin is a top hat already: its own variance comes off the line-spread function
        sigma = np.sqrt((optics.line_sigma(middle) * breathing) ** 2 - 1.0 / (12.0 * SUB**2)) * SUB
        flux += _variable_blur(bins, sigma).reshape(n, width, SUB).sum(axis=2)
    for light in lights:
        if light.line_wavelength is not None and len(light.line_wavelength):
            flux += _lines(optics, light, first, width, flexure_x, breathing)
    wing = optics.profile.width
    flux = (1.0 - wing.wing_fraction) * flux + wing.wing_fraction * gaussian_filter1d(
        flux, 1.3 * wing.wing_scale, axis=1, mode="constant", truncate=4.0
    )
    return Columns(first=first, flux=flux, wavelength=centre)


def _variable_blur(bins: np.ndarray, sigma: np.ndarray, nodes: int = 4) -> np.ndarray:
    """Blur each bin with its own Gaussian, as a mixture of the two neighbouring fixed widths of equal mean variance."""
    variance = sigma**2
    lo, hi = float(variance.min()), float(variance.max())
    if hi - lo < 1e-6:
        found: np.ndarray = gaussian_filter1d(bins, np.sqrt(lo), axis=1, mode="constant", truncate=6.0)
        return found
    grid = np.linspace(lo, hi, nodes)
    position = (variance - lo) / (hi - lo) * (nodes - 1)
    out = np.zeros_like(bins)
    for k in range(nodes):
        weight = np.clip(1.0 - np.abs(position - k), 0.0, 1.0)
        out += gaussian_filter1d(bins * weight, np.sqrt(grid[k]), axis=1, mode="constant", truncate=6.0)
    return out


def _lines(
    optics: Optics,
    light: LightComponent,
    first: np.ndarray,
    width: int,
    flexure_x: float,
    breathing: float,
    half: int = 8,
) -> np.ndarray:
    """Monochromatic lines, integrated over the pixels with the error function."""
    assert light.line_wavelength is not None and light.line_electrons is not None
    n = len(first)
    inside = (light.line_wavelength > BLUE_END) & (light.line_wavelength < RED_END)
    lam, electrons = light.line_wavelength[inside], light.line_electrons[inside]
    flux = np.zeros(n * width)
    for start in range(0, len(lam), 48):
        part = slice(start, start + 48)
        strength = electrons[part] * optics.throughput(lam[part])
        if light.factor is not None:
            strength = strength * light.factor[:, None]
        if light.shares is not None:
            strength = strength * shares_at(light.shares, np.broadcast_to(lam[part], (n, len(lam[part]))))
        x = optics.x_of(lam[part]) + flexure_x
        sigma = optics.line_sigma(lam[part]) * breathing
        start_column = np.floor(x + 0.5).astype(int) - half
        offset = (start_column - 0.5 - x)[:, :, None] + np.arange(2 * half + 2)
        integral = ndtr((offset / sigma[:, :, None]).astype(np.float32))
        share = np.diff(integral, axis=2) * strength[:, :, None]
        column = start_column[:, :, None] - first[:, None, None] + np.arange(2 * half + 1)
        column = np.clip(column, 0, width - 1) + (np.arange(n) * width)[:, None, None]
        flux += np.bincount(column.ravel(), weights=share.ravel(), minlength=n * width)
    return flux.reshape(n, width)


def _cross_profile(offset: np.ndarray, sigma: np.ndarray, fraction: float | np.float32, scale: float) -> np.ndarray:
    """Share of the light below `offset` px from the centre: Gaussian core, Moffat (beta 2) wings in closed form."""
    u = offset / np.float32(scale)
    wings = np.float32(0.5) + (np.arctan(u) + u / (1.0 + u * u)) * np.float32(1.0 / np.pi)
    found: np.ndarray = (1.0 - fraction) * ndtr(offset / sigma) + fraction * wings
    return found


def wings_beyond_reach(optics: Optics) -> float:
    """Share of a trace's light that its wings throw farther than `REACH` px, which is scattered light by definition."""
    width = optics.profile.width
    u = (REACH + 0.5) / width.wing_scale
    return float(width.wing_fraction * (1.0 - 2.0 / np.pi * (np.arctan(u) + u / (1.0 + u * u))))


def spread(
    optics: Optics,
    columns: Columns,
    *,
    flexure_y: float = 0.0,
    flexure_x: float = 0.0,
    breathing: float = 1.0,
    beyond: int = 0,
) -> np.ndarray:
    """Spread the column sums across the dispersion onto the chip and `beyond` px about it.

    Returns
    -------
    ndarray (size + 2 beyond, size + 2 beyond)
        Expected electrons, float32.
    """
    size = optics.profile.frame.size + 2 * beyond
    image = np.zeros((size, size), dtype=np.float64)
    n, width = columns.flux.shape
    order = np.argsort(optics.y0, kind="stable")
    offsets = np.arange(2 * REACH + 2, dtype=np.float32)
    kept = np.float32(1.0 / (1.0 - wings_beyond_reach(optics)))
    for start in range(0, n, 160):
        rows = order[start : start + 160]
        x = columns.first[rows, None] + np.arange(width)
        y = optics.y_of(x - flexure_x, rows) + flexure_y + beyond
        x = x + beyond
        use = (x >= 0) & (x < size) & (y > -REACH - 1) & (y < size + REACH) & (columns.flux[rows] > 1e-6)
        if not use.any():
            continue
        base = np.floor(y[use] + 0.5).astype(int) - REACH
        sigma = (_sigma_of(optics, rows, columns.wavelength[rows])[use] * breathing).astype(np.float32)
        distance = (base - 0.5 - y[use]).astype(np.float32)[:, None] + offsets
        wing = optics.profile.width
        share = np.diff(
            _cross_profile(distance, sigma[:, None], np.float32(wing.wing_fraction), wing.wing_scale), axis=1
        )
        share *= (columns.flux[rows][use].astype(np.float32) * kept)[:, None]
        lowest, highest = int(base.min()), int(base.max()) + 2 * REACH + 1
        flat = (base[:, None] - lowest + np.arange(2 * REACH + 1)) * size + x[use][:, None]
        block = np.bincount(flat.ravel(), weights=share.ravel(), minlength=(highest - lowest) * size).reshape(-1, size)
        a, b = max(lowest, 0), min(highest, size)
        image[a:b] += block[a - lowest : b - lowest]
    return image.astype(np.float32)


def _sigma_of(optics: Optics, rows: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    return optics.sigma_trace[rows, None] * (1.0 + optics.profile.width.trace_chroma * (wavelength - 6500.0) / 3000.0)


def scattered_light(optics: Optics, image: np.ndarray, missed: float = 0.0) -> np.ndarray:
    """Halo of an image: electrons per pixel on the `BLOCK` grid.

    A share of the light of every pixel goes into a sum of broad Gaussians, another one evenly over the chip. `missed`
    is the share that profile wings beyond `REACH` add; it goes into the narrowest component.
    """
    scatter = optics.profile.scatter
    small = image.reshape(image.shape[0] // BLOCK, BLOCK, image.shape[1] // BLOCK, BLOCK).mean(axis=(1, 3))
    m = small.shape[0]
    frequency = np.fft.fftfreq(2 * m)[:, None] ** 2 + np.fft.rfftfreq(2 * m)[None, :] ** 2
    kernel = missed * np.exp(-2.0 * (np.pi * 0.6 * scatter.scales[0] / BLOCK) ** 2 * frequency)
    total = sum(scatter.weights)
    for scale, weight in zip(scatter.scales, scatter.weights, strict=True):
        kernel = kernel + scatter.fraction * weight / total * np.exp(-2.0 * (np.pi * scale / BLOCK) ** 2 * frequency)
    halo = np.fft.irfft2(np.fft.rfft2(small, s=(2 * m, 2 * m)) * kernel, s=(2 * m, 2 * m))[:m, :m]
    found: np.ndarray = np.clip(halo, 0.0, None) + scatter.ghost * small.mean()
    return found


def enlarge(coarse: np.ndarray, size: int) -> np.ndarray:
    """Bilinear enlargement of a map of cell means to (size, size), float32; flat beyond the outer cell centres."""
    cell = size // coarse.shape[0]
    position = np.clip((np.arange(size) - (cell - 1) / 2.0) / cell, 0.0, coarse.shape[0] - 1.0)
    i = np.minimum(position.astype(int), coarse.shape[0] - 2)
    f = position - i
    matrix = np.zeros((size, coarse.shape[0]), dtype=np.float32)
    matrix[np.arange(size), i] = 1.0 - f
    matrix[np.arange(size), i + 1] += f
    return matrix @ coarse.astype(np.float32) @ matrix.T


def expected_electrons(
    optics: Optics, lights: list[LightComponent], *, flexure: tuple[float, float] = (0.0, 0.0), breathing: float = 1.0
) -> Expected:
    """Expected electrons of an exposure without detector effects.

    Parameters
    ----------
    optics : Optics
        The instrument.
    lights : list of LightComponent
        What enters the lenslets.
    flexure : (float, float)
        Shift of the image on the chip (dx, dy), px: positive to higher x and y.
    breathing : float
        Factor of all widths.
    """
    size = optics.profile.frame.size
    if not lights:
        return Expected(
            image=np.zeros((size, size), dtype=np.float32), scattered=np.zeros((size // BLOCK, size // BLOCK))
        )
    scatter = optics.profile.scatter
    columns = column_flux(optics, lights, flexure_x=flexure[0], breathing=breathing)
    border = scatter.beyond
    if border % BLOCK:
        raise ConfigError(f"scatter.beyond must be a multiple of {BLOCK} px, got {border}")
    direct = spread(optics, columns, flexure_x=flexure[0], flexure_y=flexure[1], breathing=breathing, beyond=border)
    missed = wings_beyond_reach(optics)
    halo = scattered_light(optics, direct, missed)
    second = second_image(direct, scatter.image)
    if border:
        cut = slice(border, border + size)
        direct, second = direct[cut, cut].copy(), second[cut, cut] if np.ndim(second) else second
        cells = slice(border // BLOCK, (border + size) // BLOCK)
        halo = halo[cells, cells]
    # what is scattered is missing from the traces
    direct *= np.float32(1.0 - scatter.fraction - scatter.ghost - missed)
    if np.ndim(second):
        means = second.reshape(size // BLOCK, BLOCK, size // BLOCK, BLOCK).mean(axis=(1, 3))
        return Expected(image=direct + enlarge(halo, size) + second, scattered=halo + means)
    return Expected(image=direct + enlarge(halo, size), scattered=halo)


def second_image(image: np.ndarray, how: tuple[float, ...]) -> np.ndarray:
    """Faint reflection of the spectra elsewhere on the chip, as `Scatter.image` says; a scalar 0 without one."""
    if not how:
        return np.zeros(())
    along, up, share, blur = how
    moved = shift(image, (up, along), order=1, mode="constant", prefilter=False)
    found: np.ndarray = np.float32(share) * (gaussian_filter(moved, blur, mode="constant") if blur > 0.0 else moved)
    return found
