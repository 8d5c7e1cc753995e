"""Where light of each lenslet lands: lattice, sky positions, traces, wavelengths, widths and throughput.

Pixel convention: integer coordinates are pixel centres of the light-sensitive columns and rows, data[y, x]; x is the
dispersion axis. Wavelength falls with x, or rises where the array is read out turned by 180 degrees. Field coordinates
(u, v) are (x - 1024)/1024, (y - 1024)/1024 of the lenslet's reference point on the array that is not turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sedmd.core.errors import ConfigError
from sedmd.simulate.atmosphere import vacuum_to_air
from sedmd.simulate.profiles import InstrumentProfile

BLUE_END, RED_END = 3300.0, 10700.0  # A: no light of the instrument outside

#: Laws of dispersion: wavelength [nm] as a Chebyshev series of the pixel; pixels as a power series of
#: (wavelength - 6500 A)/2500 A; pixels as the deviation by two thin prisms of crown (N-BK7) and flint (SF2) glass.
DISPERSIONS = ("chebyshev_of_pixel", "polynomial_of_wavelength", "prism")
# Sellmeier coefficients B1 B2 B3 C1 C2 C3 [um2] (Schott data sheets)
_BK7 = (1.03961212, 0.231792344, 1.01046945, 0.00600069867, 0.0200179144, 103.560653)
_SF2 = (1.40301821, 0.231767504, 0.939056586, 0.0105795466, 0.0493226978, 112.405955)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """Truth of the optics for one seed; arrays run over lenslets (n).

    Attributes
    ----------
    q, r : ndarray of int
        Axial lattice coordinates.
    x0, y0 : ndarray
        Chip position of the reference wavelength, px.
    sky_x, sky_y : ndarray
        Direction on the sky: East and North of the field axis, arcsec.
    sign : float
        +1, or -1 where the array is turned by 180 degrees; it multiplies x - x0 and y - y0 below.
    slope, bow, curl : ndarray
        Trace: y - y0 = slope d + bow (d/130)^2 + curl (d/130)^3 with d = x - x0 in px.
    stretch : ndarray (3, n)
        x - x0 = s + a t + b t^2 + c t^3 with t = s/130 and s the fiducial pixel scale at that wavelength.
    sigma_trace, sigma_line : ndarray
        Core widths at 6500 A, px.
    gain, colour : ndarray
        Throughput gain (1 + colour (wavelength - 6500)/2500).
    dome, lamp : ndarray
        Illumination by the dome screen and by the arc lamps relative to the sky.
    fiducial_wavelength, fiducial_pixel : ndarray (m,)
        Common dispersion: air wavelength [A], ascending, and s [px], descending, zero at the reference.
    cell : ndarray (2, 2)
        Lattice steps on the sky: rows are the (East, North) steps of q and r, arcsec.
    """

    profile: InstrumentProfile
    q: np.ndarray
    r: np.ndarray
    x0: np.ndarray
    y0: np.ndarray
    sky_x: np.ndarray
    sky_y: np.ndarray
    sign: float
    slope: np.ndarray
    bow: np.ndarray
    curl: np.ndarray
    stretch: np.ndarray
    sigma_trace: np.ndarray
    sigma_line: np.ndarray
    gain: np.ndarray
    colour: np.ndarray
    dome: np.ndarray
    lamp: np.ndarray
    fiducial_wavelength: np.ndarray
    fiducial_pixel: np.ndarray
    cell: np.ndarray

    def __len__(self) -> int:
        return len(self.q)

    def x_of(self, wavelength: np.ndarray | float) -> np.ndarray:
        """Column where each lenslet puts a wavelength [A]: shape (n,) + shape of `wavelength`."""
        s = np.interp(wavelength, self.fiducial_wavelength, self.fiducial_pixel)
        t = s / 130.0
        a, b, c = (coefficient.reshape((-1,) + (1,) * np.ndim(s)) for coefficient in self.stretch)
        found: np.ndarray = self.x0.reshape((-1,) + (1,) * np.ndim(s)) + self.sign * (s + t * (a + t * (b + t * c)))
        return found

    def wavelength_of(self, x: np.ndarray) -> np.ndarray:
        """Air wavelength [A] at columns `x`, shape (n, m): the inverse of `x_of`, by Newton steps."""
        d = self.sign * (x - self.x0[:, None])
        a, b, c = (coefficient[:, None] for coefficient in self.stretch)
        s = d / (1.0 + a / 130.0)
        for _ in range(4):
            t = s / 130.0
            s -= (s + t * (a + t * (b + t * c)) - d) / (1.0 + (a + t * (2.0 * b + 3.0 * t * c)) / 130.0)
        found: np.ndarray = np.interp(-s, -self.fiducial_pixel, self.fiducial_wavelength)
        return found

    def y_of(self, x: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Row of the trace centre at columns `x`, shape (n, m); `rows` picks the lenslets that `x` is given for."""
        d = self.sign * (x - self.x0[rows, None]) / 130.0
        slope, bow, curl = (term[rows, None] for term in (self.slope, self.bow, self.curl))
        found: np.ndarray = self.y0[rows, None] + self.sign * d * (130.0 * slope + d * (bow + d * curl))
        return found

    def trace_sigma(self, wavelength: np.ndarray) -> np.ndarray:
        """Cross-dispersion sigma of the core [px] at wavelengths of shape (m,) or (n, m); returns (n, m)."""
        chroma = 1.0 + self.profile.width.trace_chroma * (np.atleast_1d(wavelength) - 6500.0) / 3000.0
        return self.sigma_trace[:, None] * chroma

    def line_sigma(self, wavelength: np.ndarray) -> np.ndarray:
        """Dispersion-direction sigma of monochromatic light [px], same shapes as `trace_sigma`."""
        chroma = 1.0 + self.profile.width.line_chroma * (np.atleast_1d(wavelength) - 6500.0) / 3000.0
        return self.sigma_line[:, None] * chroma

    def throughput(self, wavelength: np.ndarray) -> np.ndarray:
        """Throughput of each lenslet relative to the instrument's mean, wavelengths (m,) or (n, m); returns (n, m)."""
        u = (np.atleast_1d(wavelength) - 6500.0) / 2500.0
        return self.gain[:, None] * (1.0 + self.colour[:, None] * u)

    def complete(self, blue: float = 3800.0, red: float = 9200.0, margin: float = 4.0) -> np.ndarray:
        """Lenslets whose whole trace from `blue` to `red` [A] is on the light-sensitive part of the chip."""
        size = self.profile.frame.size
        x = self.x_of(np.linspace(blue, red, 15))
        y = self.y_of(x)
        right = self.profile.frame.columns - 1
        found: np.ndarray = np.all((x >= 0.0) & (x <= right) & (y >= margin) & (y <= size - 1 - margin), axis=1)
        return found


def _index(glass: tuple[float, ...], wavelength: np.ndarray) -> np.ndarray:
    """Refractive index at wavelengths [A] (Sellmeier)."""
    square = (wavelength / 1e4) ** 2
    return np.sqrt(1.0 + sum(b * square / (square - c) for b, c in zip(glass[:3], glass[3:], strict=True)))


def _fiducial(profile: InstrumentProfile) -> tuple[np.ndarray, np.ndarray]:
    d = profile.dispersion
    wavelength: np.ndarray
    pixel: np.ndarray
    if d.kind == "chebyshev_of_pixel":
        pixel = np.linspace(-12.0, 330.0, 6000)
        wavelength = 10.0 * np.polynomial.chebyshev.chebval(pixel, d.coefficients)
    elif d.kind == "polynomial_of_wavelength":
        wavelength = np.linspace(11000.0, 3100.0, 6000)
        pixel = -np.polynomial.polynomial.polyval((wavelength - 6500.0) / 2500.0, d.coefficients)
    elif d.kind == "prism":
        wavelength = np.linspace(11000.0, 3100.0, 6000)
        crown, flint = d.coefficients
        pixel = crown * _index(_BK7, wavelength) + flint * _index(_SF2, wavelength)
    else:
        raise ConfigError(f"dispersion.kind must be one of {', '.join(DISPERSIONS)}, got {d.kind!r}")
    falling = np.concatenate(([True], np.diff(wavelength) < 0.0))
    keep = np.cumprod(falling).astype(bool)
    wavelength, pixel = wavelength[keep][::-1], pixel[keep][::-1]
    if d.medium == "vacuum":
        wavelength = vacuum_to_air(wavelength)
    if wavelength[0] > BLUE_END or wavelength[-1] < RED_END - 100.0:
        raise ConfigError(
            f"the dispersion of this profile covers only {wavelength[0]:.0f}-{wavelength[-1]:.0f} A; "
            f"it must cover {BLUE_END:.0f}-{RED_END:.0f} A and fall with x"
        )
    pixel = (pixel - np.interp(profile.lattice.reference, wavelength, pixel)) * d.scale
    return wavelength, pixel


def _regular(steps: np.ndarray) -> np.ndarray:
    """Regular hexagonal lattice of the same area and orientation as the steps on the chip: the lens array itself.

    What makes it less regular on the chip is the spectrograph, which the sky knows nothing of.
    """
    pitch = np.sqrt(abs(np.linalg.det(steps)) * 2.0 / np.sqrt(3.0))
    first, second = np.arctan2(steps[:, 1], steps[:, 0])
    opening = np.sign((second - first + np.pi) % (2.0 * np.pi) - np.pi) * np.pi / 3.0
    angle = first + 0.5 * ((second - first - opening + np.pi) % (2.0 * np.pi) - np.pi)
    found: np.ndarray = pitch * np.array([[np.cos(a), np.sin(a)] for a in (angle, angle + opening)])
    return found


def build_optics(profile: InstrumentProfile, seed: int) -> Optics:
    """The instrument of one seed: the profile's figures, each disturbed a little, and lenslet-to-lenslet scatter."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 101]))
    lattice, sky, trace, width = profile.lattice, profile.sky, profile.trace, profile.width
    turn = np.deg2rad(lattice.rotation_deg + rng.normal(0.0, 0.05))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    steps = np.array([lattice.step_q, lattice.step_r]) @ rotation.T * (1.0 + rng.normal(0.0, 0.001))
    origin = np.array(lattice.origin) + rng.normal(0.0, 4.0, 2)

    reach = 60
    q, r = (a.ravel() for a in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    ideal = np.stack([q, r], axis=1) @ steps
    centre = np.array(lattice.field_centre) - np.array(lattice.origin)
    off = ideal - centre
    lit = (np.hypot(*off.T) < lattice.field_radius) & np.all(np.abs(off) < lattice.field_half_width, axis=1)
    if lattice.dark_corner:
        along, up, limit = lattice.dark_corner
        lit &= along * off[:, 0] + up * off[:, 1] < limit
    q, r, ideal = q[lit], r[lit], ideal[lit]
    n = len(q)

    # distortion moves light on the chip, not on the sky
    radial, keystone, bow_y = np.array(lattice.distortion) * (1.0 + rng.normal(0.0, 0.1, 3))
    unit = ideal / 1000.0
    square = np.sum(unit**2, axis=1, keepdims=True)
    shift = (
        radial * unit * square
        + keystone * np.stack([unit[:, 0] * unit[:, 1], np.zeros(n)], 1)
        + bow_y * np.stack([np.zeros(n), unit[:, 0] ** 2], 1)
        + lattice.pitch_gradient * np.stack([ideal[:, 0] ** 2 / 2048.0, np.zeros(n)], 1)
    )
    position = origin + ideal + shift + rng.normal(0.0, lattice.jitter, (n, 2))
    x0, y0 = position.T
    u, v = (x0 - 1024.0) / 1024.0, (y0 - 1024.0) / 1024.0
    bowl = u**2 + v**2 - 0.6

    angle = np.deg2rad(sky.rotation_deg + rng.normal(0.0, 0.1))
    scale = sky.arcsec_per_pixel * (1.0 + rng.normal(0.0, 0.001))
    axes = np.array([[-np.cos(angle), np.sin(angle)], [-np.sin(angle), -np.cos(angle)]])
    if sky.parity < 0:
        axes[0] *= -1.0
    cell = _regular(steps) @ axes.T * scale
    field = np.stack([q, r], axis=1) @ cell + np.array(sky.axis_offset)

    def wobble(size: float) -> float:
        return float(rng.normal(0.0, size))

    tilt = trace.tilt_deg + wobble(0.02) + trace.tilt_x * u + trace.tilt_y * v + rng.normal(0.0, trace.tilt_rms, n)
    bow = trace.sag + wobble(0.02) + trace.sag_x * u + trace.sag_y * v + 0.02 * rng.standard_normal(n)
    curl = 0.03 * (u - v) + wobble(0.01) + 0.005 * rng.standard_normal(n)

    def field_term(values: tuple[float, ...]) -> np.ndarray:
        constant, along, up, anywhere, rms = values
        direction = rng.uniform(0.0, 2.0 * np.pi)
        gradient = np.array([along + anywhere * np.cos(direction), up + anywhere * np.sin(direction)])
        quadratic = 0.2 * np.hypot(*gradient) * (u * v + 0.5 * (u**2 - v**2))
        found: np.ndarray = (
            constant * (1.0 + wobble(0.15))
            + gradient[0] * u
            + gradient[1] * v
            + quadratic
            + rms * rng.standard_normal(n)
        )
        return found

    d = profile.dispersion
    stretch = np.stack([field_term(d.stretch), field_term(d.bend), field_term(d.twist)])

    def width_map(base: float, shape: tuple[float, ...]) -> np.ndarray:
        gx, gy, gb = shape
        found: np.ndarray = (
            base
            * (1.0 + wobble(0.01))
            * (1.0 + gx * u + gy * v + gb * bowl + 0.02 * u * v + width.rms * rng.standard_normal(n))
        )
        return found

    t = profile.throughput
    gain = (1.0 + t.spaxel_rms * rng.standard_normal(n)) * (1.0 - t.vignetting * np.sum(unit**2, axis=1))
    gain = np.clip(gain, 0.2, None)
    direction = rng.uniform(0.0, 2.0 * np.pi)
    colour = t.colour_rms * rng.standard_normal(n) + t.colour_field * (u * np.cos(direction) + v * np.sin(direction))

    def tilt_of_light(size: float) -> np.ndarray:
        direction = rng.uniform(0.0, 2.0 * np.pi)
        found: np.ndarray = 1.0 + size * (u * np.cos(direction) + v * np.sin(direction)) - 0.4 * size * bowl
        return found

    fiducial_wavelength, fiducial_pixel = _fiducial(profile)
    last = profile.frame.size - 1
    return Optics(
        profile=profile,
        q=q,
        r=r,
        x0=last - x0 if profile.frame.turned else x0,
        y0=last - y0 if profile.frame.turned else y0,
        sky_x=field[:, 0],
        sky_y=field[:, 1],
        sign=-1.0 if profile.frame.turned else 1.0,
        slope=np.tan(np.deg2rad(tilt)),
        bow=bow,
        curl=curl,
        stretch=stretch,
        sigma_trace=width_map(width.trace, width.trace_field),
        sigma_line=width_map(width.line, width.line_field),
        gain=gain,
        colour=colour,
        dome=tilt_of_light(profile.lamps.dome_gradient),
        lamp=tilt_of_light(profile.lamps.lamp_gradient),
        fiducial_wavelength=fiducial_wavelength,
        fiducial_pixel=fiducial_pixel,
        cell=cell,
    )


@lru_cache(maxsize=8)
def _tile(key: tuple[float, ...], divisions: int) -> tuple[np.ndarray, np.ndarray]:
    cell = np.array(key).reshape(2, 2)
    half = divisions
    grid = np.stack([a.ravel() for a in np.mgrid[-half : half + 1, -half : half + 1]], axis=1)
    # beside the middle by these shares of a step no point lies on the border between two lenslets
    aside = np.array([0.2, 0.5])
    points = np.concatenate([grid + aside, grid - aside]) @ cell / divisions
    neighbours = np.array([[1, 0], [0, 1], [-1, 1], [-1, 0], [0, -1], [1, -1]]) @ cell
    nearest = np.min(np.sum((points[:, None] - neighbours) ** 2, axis=2), axis=1)
    inside = np.sum(points**2, axis=1) < nearest
    return points[inside, 0], points[inside, 1]


def lenslet_samples(optics: Optics, divisions: int = 5) -> tuple[np.ndarray, np.ndarray, float]:
    """Points that tile one hexagonal lenslet: offsets East, North [arcsec] and the area of each [arcsec^2].

    Two sub-lattices of the lens lattice, one the other's mirror image, restricted to the points nearest to the
    lenslet's centre, so that the lenslets tile the sky without gap or overlap.
    """
    east, north = _tile(tuple(optics.cell.ravel()), divisions)
    return east, north, lenslet_area(optics) / len(east)


def lenslet_area(optics: Optics) -> float:
    """Sky area of one lenslet, arcsec^2."""
    return float(abs(np.linalg.det(optics.cell)))
