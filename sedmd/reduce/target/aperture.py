"""Extraction of one object through an elliptical aperture that follows the refraction with wavelength.

The pipeline and the observer's viewer call the same functions: the spectrum on the screen is the one that is saved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from sedmd.reduce.cube.correlation import bin_correlation
from sedmd.reduce.numeric.containers import Cube, FloatArray, Spaxels, Spectrum
from sedmd.reduce.numeric.hexagon import cell_area, cell_vertices
from sedmd.reduce.target.overlap import shares_in_unit_circle
from sedmd.reduce.target.psf import Psf, image

#: The aperture's shares are computed again when refraction has moved it by this much.
_STEP_ARCSEC = 0.05
#: The sky annulus, in units of the semi-major axis and in arcsec beyond it (kpy Extractor: f = 1.5, a f + 3 f).
SKY_INNER, SKY_WIDTH_ARCSEC = 1.5, 4.5
#: The annulus never begins closer than this: the wings of a star would pass for sky.
MIN_SKY_INNER_ARCSEC = 3.0
#: Fewer sky spaxels than this do not make a sky.
MIN_SKY_SPAXELS = 12
#: Bins on either side over which an object's profile is averaged to replace what a masked sample held.
_PROFILE_REACH = 20
#: By so many sectors of the annulus it is judged how uneven the sky is; each has at least so many spaxels.
SKY_SECTORS, MIN_SECTOR = 8, 4
#: Bins over which a sector's level is averaged, and by how much more than so many independent ones they scatter: two
#: neighbours correlate by about 0.2.
_EVEN_BINS, _BIN_CORRELATION = 21, 1.4
#: The square of a sector's level counts at most this many times the median one: a neighbour lies in one or two of them.
_MOST_UNEVEN = 4.0
#: A bin that lost more than this share of the object's light is not repaired.
_MAX_LOST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipse:
    """An aperture on the sky; `angle_deg` is the direction of the major axis, N through E."""

    x_arcsec: float
    y_arcsec: float
    semi_major_arcsec: float
    axis_ratio: float = 1.0
    angle_deg: float = 0.0

    def to_circle(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Offsets from the centre [arcsec] in units of the axes, along the major and across it: a unit circle."""
        angle = np.deg2rad(self.angle_deg)
        sine, cosine, major = np.sin(angle), np.cos(angle), self.semi_major_arcsec
        minor = major * self.axis_ratio
        return x * (sine / major) + y * (cosine / major), x * (cosine / minor) - y * (sine / minor)

    def radius2(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Square of the elliptical radius of offsets from the centre [arcsec]: below 1 is inside."""
        along, across = self.to_circle(x, y)
        return np.asarray(along * along + across * across)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A spectrum and the spaxels it was made of.

    Attributes
    ----------
    spectrum : Spectrum
    members : (m,) indices of the spaxels that have a share of the aperture at any wavelength
    share : (n_wave, m) share of each one's area inside it
    sky : (n_sky,) indices of the spaxels that made the sky; empty when none was subtracted
    """

    spectrum: Spectrum
    members: NDArray[np.intp]
    share: FloatArray
    sky: NDArray[np.intp]


def extract_ellipse(
    cube: Cube,
    *,
    x_arcsec: float,
    y_arcsec: float,
    semi_major_arcsec: float,
    axis_ratio: float = 1.0,
    angle_deg: float = 0.0,
    dx_dispersion: FloatArray | None = None,
    dy_dispersion: FloatArray | None = None,
    sky: Literal["annulus", "none"] = "annulus",
    exptime_s: float,
) -> Spectrum:
    """Light of a cube inside an ellipse: `measure_ellipse` for one who wants the spectrum only.

    Parameters
    ----------
    cube : Cube
    x_arcsec, y_arcsec, semi_major_arcsec, axis_ratio, angle_deg : float
        The `Ellipse`.
    dx_dispersion, dy_dispersion : (n_wave,), optional
        Where the image lies at each wavelength relative to the reference wavelength, arcsec East and North.
    sky, exptime_s
        As in `measure_ellipse`.

    Raises
    ------
    ValueError
        The aperture lies off the field, or there are too few spaxels for a sky.
    """
    ellipse = Ellipse(
        x_arcsec=x_arcsec,
        y_arcsec=y_arcsec,
        semi_major_arcsec=semi_major_arcsec,
        axis_ratio=axis_ratio,
        angle_deg=angle_deg,
    )
    still = np.zeros(len(cube.wavelength))
    shift_x = still if dx_dispersion is None else np.asarray(dx_dispersion, dtype=float)
    shift_y = still if dy_dispersion is None else np.asarray(dy_dispersion, dtype=float)
    return measure_ellipse(cube, ellipse, shift_x, shift_y, sky=sky, exptime_s=exptime_s).spectrum


def measure_ellipse(
    cube: Cube,
    ellipse: Ellipse,
    shift_x: FloatArray,
    shift_y: FloatArray,
    *,
    sky: Literal["annulus", "none"] = "annulus",
    exptime_s: float,
) -> Measured:
    """Light of a cube inside an ellipse, with the spaxels that took part.

    Parameters
    ----------
    cube : Cube
    ellipse : Ellipse
        At the reference wavelength, East and North of the field centre.
    shift_x, shift_y : (n_wave,)
        Where the image lies at each wavelength relative to the reference wavelength, arcsec East and North.
    sky : {"annulus", "none"}
        Subtract the clipped mean of the spaxels around the aperture (`sky_spaxels`), or nothing.
    exptime_s : float
        Exposure of the cube.

    Returns
    -------
    Measured
        Spectrum in electron / (s Angstrom), with the aperture, its number of spaxels (``n_spaxels``) and its part that
        lies on the field (``aperture_inside``) in `meta`. A bin is NaN when more than half of the object's light was
        masked.

    Raises
    ------
    ValueError
        The aperture lies off the field, or there are too few spaxels for a sky.

    Notes
    -----
    A spaxel counts by the share of its area inside the ellipse; error = sqrt(sum share**2 variance + (sum share)**2
    (variance of the sky's level + unevenness of the sky)). The unevenness is by how much the level of the sky differs
    from a sector of the annulus to those beside it, beyond the noise of their samples: errors of flat field and
    scattered light are alike in neighbouring spaxels and bins, so that they do not average out in an aperture. Masked
    samples inside the aperture are replaced by their expected share of the light, from the object's profile in the
    neighbouring bins, and the error grows accordingly.
    """
    _check(ellipse.semi_major_arcsec, ellipse.axis_ratio, exptime_s)
    members, share = coverage(cube.spaxels, ellipse, shift_x, shift_y)
    if len(members) == 0:
        raise ValueError(
            f"the aperture at {ellipse.x_arcsec:+.1f}, {ellipse.y_arcsec:+.1f} arcsec lies off the field; "
            "move it onto spaxels"
        )
    if sky == "annulus":
        around = sky_spaxels(cube.spaxels, ellipse, shift_x, shift_y)
        level, level_variance = _sky_level(cube, around)
        unevenness, size = _unevenness(cube, around, ellipse, level)
    else:
        around = members[:0]
        level, level_variance, unevenness = np.zeros((3, len(cube.wavelength)))
        size = 1.0

    flux, sample_variance, good = _gathered(cube, members)
    light = np.where(good, flux - level[:, None], 0.0)
    kept = _kept_light(cube.spaxels, members, light, good, share)
    with np.errstate(invalid="ignore", divide="ignore"):
        repair = np.where(kept >= 1 - _MAX_LOST, 1 / kept, np.nan)
    seen = share * good
    variance = np.sum(seen**2 * np.where(good, sample_variance, 0.0), axis=1)
    number = seen.sum(axis=1)
    variance += number**2 * (level_variance + unevenness * np.sqrt(np.maximum(size / np.maximum(number, 1.0), 1.0)))
    area = cell_area(cube.spaxels)
    whole = np.pi * ellipse.semi_major_arcsec**2 * ellipse.axis_ratio
    spectrum = Spectrum(
        wavelength=np.asarray(cube.wavelength, dtype=float),
        correlation=None if cube.columns is None else bin_correlation(cube.columns),
        flux=(seen * light).sum(axis=1) * repair / exptime_s,
        error=np.sqrt(variance) * repair / exptime_s,
        sky=level / area / exptime_s,
        unit="electron / (s Angstrom)",
        meta={
            "exptime_s": float(exptime_s),
            "skysub": sky != "none",
            "method": "ellipse",
            "x_arcsec": float(ellipse.x_arcsec),
            "y_arcsec": float(ellipse.y_arcsec),
            "radius_arcsec": float(ellipse.semi_major_arcsec),
            "axis_ratio": float(ellipse.axis_ratio),
            "angle_deg": float(ellipse.angle_deg % 180.0),
            "n_spaxels": float(np.mean(share.sum(axis=1))),
            "aperture_inside": float(np.min(share.sum(axis=1)) * area / whole),
        },
    )
    return Measured(spectrum=spectrum, members=members, share=share, sky=around)


def coverage(
    spaxels: Spaxels, ellipse: Ellipse, shift_x: FloatArray, shift_y: FloatArray
) -> tuple[NDArray[np.intp], FloatArray]:
    """Share of each spaxel's area inside an ellipse that moves with wavelength.

    Parameters
    ----------
    spaxels : Spaxels
    ellipse : Ellipse
    shift_x, shift_y : (n_wave,)
        Offset of the ellipse's centre at each wavelength, arcsec.

    Returns
    -------
    members : (m,) indices of the spaxels that have a share at any wavelength
    share : (n_wave, m) between 0 and 1
    """
    corners = cell_vertices(spaxels)
    reach = ellipse.semi_major_arcsec + np.hypot(*corners.T).max()
    # what moves little with wavelength is worked out at a few places and interpolated between
    places, left, part = _steps(shift_x, shift_y)
    x, y = spaxels.x_arcsec - ellipse.x_arcsec, spaxels.y_arcsec - ellipse.y_arcsec
    farthest = reach + np.hypot(shift_x, shift_y).max()
    members = np.flatnonzero(x * x + y * y < farthest * farthest)
    u, v = ellipse.to_circle(x[members] - shift_x[places, None], y[members] - shift_y[places, None])
    cell = np.stack(ellipse.to_circle(*corners.T), axis=1)
    radius, slack = np.hypot(u, v), np.hypot(*cell.T).max()
    share = (radius <= 1 - slack).astype(float)
    # only a spaxel that the outline may cross is cut
    crossed = np.abs(radius - 1) < slack
    share[crossed] = shares_in_unit_circle(u[crossed], v[crossed], cell)
    touched = share.any(axis=0)
    share = share[:, touched]
    before, after = share[left], share[np.minimum(left + 1, len(places) - 1)]
    return members[touched], before + part[:, None] * (after - before)


def sky_spaxels(spaxels: Spaxels, ellipse: Ellipse, shift_x: FloatArray, shift_y: FloatArray) -> NDArray[np.intp]:
    """Spaxels between 1.5 times the ellipse (3 arcsec at least), at every wavelength, and 4.5 arcsec beyond that.

    Returns
    -------
    (n_sky,) indices
    """
    inner = max(SKY_INNER * ellipse.semi_major_arcsec, MIN_SKY_INNER_ARCSEC)
    ratio = ellipse.axis_ratio
    x, y = spaxels.x_arcsec - ellipse.x_arcsec, spaxels.y_arcsec - ellipse.y_arcsec
    scale = ellipse.semi_major_arcsec
    beyond = np.ones(len(x), dtype=bool)
    for wave in np.unique(
        np.linspace(0, len(shift_x) - 1, 12).astype(int)
    ):  # the shift is smooth: twelve places will do
        dx, dy = shift_x[wave], shift_y[wave]
        beyond &= ellipse.radius2(x - dx, y - dy) >= (inner / scale) ** 2
    outer = Ellipse(
        x_arcsec=0.0,
        y_arcsec=0.0,
        semi_major_arcsec=inner + SKY_WIDTH_ARCSEC,
        axis_ratio=(inner * ratio + SKY_WIDTH_ARCSEC) / (inner + SKY_WIDTH_ARCSEC),
        angle_deg=ellipse.angle_deg,
    )
    return np.flatnonzero(beyond & (outer.radius2(x, y) < 1))


def enclosed_fraction(
    cube: Cube,
    psf: Psf,
    ellipse: Ellipse,
    dx_dispersion: FloatArray,
    dy_dispersion: FloatArray,
    *,
    sky: Literal["annulus", "none"] = "annulus",
    found: Measured | None = None,
) -> FloatArray:
    """Share of a point source's light that `extract_ellipse` finds when the source sits at the aperture's centre.

    What the wings add to the sky annulus is subtracted, as in the extraction. Dividing by this share turns the flux in
    the aperture into the flux of the source.

    Parameters
    ----------
    cube : Cube
    psf : Psf
        Its place is ignored, its shape and width count.
    ellipse : Ellipse
    dx_dispersion, dy_dispersion : (n_wave,) arcsec
    sky : as in `extract_ellipse`
    found : Measured, optional
        What `measure_ellipse` gave for the same ellipse: then its spaxels need not be looked for again.

    Returns
    -------
    (n_wave,) ndarray, between 0 and 1 for any sensible aperture
    """
    n_wave = len(cube.wavelength)
    sample = np.unique(np.linspace(0, n_wave - 1, 9).astype(int))  # it changes slowly with wavelength
    dx, dy = np.asarray(dx_dispersion, dtype=float), np.asarray(dy_dispersion, dtype=float)
    if found is not None:
        members, share, around = found.members, found.share[sample], found.sky
    else:
        members, share = coverage(cube.spaxels, ellipse, dx[sample], dy[sample])
        around = sky_spaxels(cube.spaxels, ellipse, dx, dy) if sky == "annulus" else members[:0]
    both = np.concatenate([members, around])
    part = cube.spaxels.part(both)
    centred = replace(psf, x_arcsec=ellipse.x_arcsec, y_arcsec=ellipse.y_arcsec)
    light = image(centred, part, cube.wavelength[sample], dx[sample], dy[sample])
    inside, outside = light[:, : len(members)], light[:, len(members) :]
    held = np.sum(share * inside, axis=1)
    if len(around):
        held = held - share.sum(axis=1) * outside.mean(axis=1)
    made: FloatArray = np.interp(np.arange(n_wave), sample, held)
    return made


def difference(cube_a: Cube, cube_b: Cube, *, exptime_a_s: float, exptime_b_s: float) -> Cube:
    """Cube A minus cube B, B scaled to the exposure of A; sky and scattered light drop out.

    Raises
    ------
    ValueError
        The cubes do not hold the same spaxels at the same wavelengths.
    """
    if not (
        np.array_equal(cube_a.wavelength, cube_b.wavelength)
        and np.array_equal(cube_a.spaxels.ident, cube_b.spaxels.ident)
    ):
        raise ValueError("A and B must hold the same spaxels and wavelengths; reduce both with the same calibrations")
    scale = exptime_a_s / exptime_b_s
    return Cube(
        wavelength=cube_a.wavelength,
        flux=cube_a.flux - scale * cube_b.flux,
        variance=cube_a.variance + scale**2 * cube_b.variance,
        mask=cube_a.mask | cube_b.mask,
        spaxels=cube_a.spaxels,
        columns=cube_a.columns,
    )


def negated(cube: Cube) -> Cube:
    """The cube with the sign of its flux turned: in A minus B the object at B becomes positive."""
    return replace(cube, flux=-cube.flux)


def mean_of_pair(spectrum_a: Spectrum, spectrum_b: Spectrum) -> Spectrum:
    """One spectrum from the two positions of a pair, both in the same unit per second.

    The plain mean, not a weighted one: both hold the same object and nearly the same noise, and weights that follow
    the noise would follow the spectrum too. Where one position has no data the other stands alone.

    Returns
    -------
    Spectrum
        ``exptime_s`` is the sum; the aperture of B stands in ``x_b_arcsec`` and ``y_b_arcsec``.
    """
    both = np.stack([spectrum_a.flux, spectrum_b.flux])
    errors = np.stack([spectrum_a.error, spectrum_b.error])
    good = np.isfinite(both) & np.isfinite(errors)
    count = good.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.where(good, both, 0).sum(axis=0) / np.where(count, count, np.nan)
        error = np.sqrt(np.where(good, errors**2, 0).sum(axis=0)) / np.where(count, count, np.nan)
    exposures = [float(part.meta["exptime_s"]) for part in (spectrum_a, spectrum_b)]  # type: ignore[arg-type]
    meta = dict(spectrum_a.meta)
    meta |= {
        "is_pair": True,
        "exptime_s": sum(exposures),
        "x_b_arcsec": spectrum_b.meta.get("x_arcsec"),
        "y_b_arcsec": spectrum_b.meta.get("y_arcsec"),
    }
    return Spectrum(
        wavelength=spectrum_a.wavelength,
        flux=flux,
        error=error,
        sky=0.5 * (spectrum_a.sky + spectrum_b.sky),
        unit=spectrum_a.unit,
        meta=meta,
        correlation=spectrum_a.correlation,
    )


def _check(semi_major_arcsec: float, axis_ratio: float, exptime_s: float) -> None:
    if not semi_major_arcsec > 0:
        raise ValueError(f"semi_major_arcsec must be positive, got {semi_major_arcsec}")
    if not 0 < axis_ratio <= 1:
        raise ValueError(f"axis_ratio must lie in (0, 1], got {axis_ratio}")
    if not exptime_s > 0:
        raise ValueError(f"exptime_s must be positive, got {exptime_s}")


def _steps(shift_x: FloatArray, shift_y: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """Bins at which the moving aperture is worked out; for each bin the place before it and the part of the way on.

    The bins lie about `_STEP_ARCSEC` apart on the sky: a share interpolated between them is off by less than 2 % of a
    spaxel on the outline, and the sum of all shares, the aperture's area, not at all.
    """
    path = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(shift_x), np.diff(shift_y)))])
    wanted = np.arange(0.0, path[-1], _STEP_ARCSEC)
    places = np.unique(np.concatenate([np.searchsorted(path, wanted, side="right") - 1, [0, len(path) - 1]]))
    left = np.clip(np.searchsorted(places, np.arange(len(path)), side="right") - 1, 0, max(len(places) - 2, 0))
    right = np.minimum(left + 1, len(places) - 1)
    length = path[places[right]] - path[places[left]]
    part = np.divide(path - path[places[left]], length, out=np.zeros(len(path)), where=length > 0)
    return places, left, part


def _gathered(cube: Cube, members: NDArray[np.intp]) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Flux, variance (n_wave, m) of some spaxels, and which of the samples are good."""
    # "clip" spares numpy the copy that it needs for an orderly error; `members` are all there
    flux, variance = (np.take(one, members, axis=1, mode="clip") for one in (cube.flux, cube.variance))
    mask = np.take(cube.mask, members, axis=1, mode="clip")
    return flux, variance, (mask == 0) & np.isfinite(flux) & np.isfinite(variance)


def _sky_level(cube: Cube, members: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Clipped mean over the sky spaxels and its variance, bin by bin; NaN where too few are good."""
    if len(members) < MIN_SKY_SPAXELS:
        raise ValueError(
            f"only {len(members)} spaxels around the aperture for the sky, {MIN_SKY_SPAXELS} are needed; "
            "make it smaller, move it inwards, or switch the sky subtraction off"
        )
    flux, variance, good = _gathered(cube, members)
    values = np.where(good, flux, np.inf)
    middle = _lower_median(values)
    deviation = np.abs(values - middle[:, None])
    spread = 1.4826 * _lower_median(deviation)
    kept = deviation <= 3 * spread[:, None]
    count = kept.sum(axis=1)
    enough = np.where(count >= MIN_SKY_SPAXELS // 2, count, np.nan)
    # a sum of what is kept and zeros: numpy's own `where` takes eight times as long
    total, total_variance = (np.where(kept, one, 0).sum(axis=1, dtype=float) for one in (flux, variance))
    return total / enough, total_variance / enough**2


def _unevenness(cube: Cube, members: NDArray[np.intp], ellipse: Ellipse, level: FloatArray) -> tuple[FloatArray, float]:
    """Variance of the sky's level from place to place, (n_wave,), and of how many spaxels a place consists.

    The mean over all wavelengths in units of the samples' variance, from the means over sectors of the annulus.
    """
    flux, variance, good = _gathered(cube, members)
    spaxels = cube.spaxels
    x, y = spaxels.x_arcsec[members] - ellipse.x_arcsec, spaxels.y_arcsec[members] - ellipse.y_arcsec
    sector = np.floor((np.arctan2(x, y) / (2 * np.pi) % 1.0) * SKY_SECTORS).astype(int) % SKY_SECTORS
    belongs = (sector[:, None] == np.arange(SKY_SECTORS)).astype(float)
    there = belongs.sum(axis=0) >= MIN_SECTOR
    between = np.flatnonzero(there & np.roll(there, 1) & np.roll(there, -1))
    off = np.where(good, flux - level[:, None], 0.0)
    spread = np.sqrt(np.where(good, variance, 0.0))
    known = good & (np.abs(off) < 5 * spread)  # a cosmic ray, or a neighbour, is no uneven sky
    count = known @ belongs
    whole = np.isfinite(level) & (count[:, there] >= MIN_SECTOR / 2).all(axis=1)
    if len(between) < 3 or whole.sum() < 2 * _EVEN_BINS:
        return np.zeros(len(level)), 1.0
    count = np.maximum(count[whole], 1.0)
    sample = np.where(known, variance, 0.0)[whole]
    mean = np.where(known, off, 0.0)[whole] @ belongs / count
    # each against the two beside it: a slope across the field is no error, since the annulus lies on all sides
    mean = (mean - 0.5 * (np.roll(mean, 1, axis=1) + np.roll(mean, -1, axis=1)))[:, between] / np.sqrt(1.5)
    noise = ((sample @ belongs) / count**2)[:, there]
    typical = sample.sum(axis=1) / known[whole].sum(axis=1)
    # in units of the noise of one sample, so that each wavelength counts alike
    smooth = uniform_filter1d(mean / np.sqrt(typical)[:, None], _EVEN_BINS, axis=0, mode="nearest")
    power = np.mean(smooth**2, axis=0)
    power = np.minimum(power, _MOST_UNEVEN * np.median(power))
    white = float(np.mean(noise / typical[:, None])) * _BIN_CORRELATION / _EVEN_BINS
    excess = max(float(np.mean(power)) - white, 0.0)
    made = np.full(len(level), np.nan)
    made[whole] = excess * typical
    at = np.flatnonzero(whole)
    made = np.interp(np.arange(len(level)), at, made[at])
    return made, float(belongs.sum(axis=0)[there].mean())


def _lower_median(values: FloatArray) -> FloatArray:
    """Median along the rows of what is finite; rows without anything finite give 0. Infinity marks what is not good."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = (
        ordered[rows, np.maximum(count - 1, 0) // 2],
        ordered[rows, np.minimum(count // 2, np.maximum(count - 1, 0))],
    )
    return np.where(count > 0, 0.5 * (np.where(count > 0, low, 0.0) + np.where(count > 0, high, 0.0)), 0.0)


def _kept_light(
    spaxels: Spaxels, members: NDArray[np.intp], light: FloatArray, good: NDArray[np.bool_], share: FloatArray
) -> FloatArray:
    """Share of the object's light in the aperture that good samples hold, by its profile in the bins around."""
    if good.all():
        return np.ones(len(light))
    width = 2 * _PROFILE_REACH + 1
    weight = uniform_filter1d(good.astype(float), width, axis=0, mode="nearest")
    seen = uniform_filter1d(np.where(good, light, 0.0), width, axis=0, mode="nearest")
    known = weight > 0.5 / width
    profile = np.where(known, np.maximum(seen, 0.0) / np.where(known, weight, 1.0), np.nan)
    profile = _fill_from_neighbours(spaxels, members, profile)
    total = np.sum(share * profile, axis=1)
    # no object to speak of: then each spaxel is expected to hold as much as any other
    flat = total <= 0
    profile[flat] = 1.0
    total = np.sum(share * profile, axis=1)
    return np.asarray(np.sum(share * profile * good, axis=1) / total)


def _fill_from_neighbours(spaxels: Spaxels, members: NDArray[np.intp], profile: FloatArray) -> FloatArray:
    """A spaxel without any good sample holds what its neighbours hold on average."""
    dead = np.isnan(profile)
    if not dead.any():
        return profile
    dq = spaxels.q[members][:, None] - spaxels.q[members][None, :]
    dr = spaxels.r[members][:, None] - spaxels.r[members][None, :]
    touching = ((np.abs(dq) + np.abs(dr) + np.abs(dq + dr)) == 2).astype(float)
    neighbours = (~dead).astype(float) @ touching
    around = np.where(dead, 0.0, profile) @ touching / np.where(neighbours > 0, neighbours, 1.0)
    return np.where(dead, around, profile)
