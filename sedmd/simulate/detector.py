"""The camera: sensitivity of the pixels, cosmic rays, bias, read noise, saturation and digitisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sedmd.simulate.profiles import InstrumentProfile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chip:
    """Fixed pattern of one camera: sensitivity (1 is the mean) of the pixels that see light, hot ones among them
    [electron/s] at flat indices, bias [ADU] of the raw array."""

    sensitivity: np.ndarray
    hot_index: np.ndarray
    hot_rate: np.ndarray
    bias: np.ndarray


def build_chip(profile: InstrumentProfile, seed: int) -> Chip:
    """The camera of one seed."""
    d, frame = profile.detector, profile.frame
    size, columns = frame.size, frame.columns
    rng = np.random.default_rng(np.random.SeedSequence([seed, 202]))
    sensitivity = (1.0 + d.pixel_rms * rng.standard_normal((size, columns), dtype=np.float32)).astype(np.float32)
    y, x = rng.integers(0, size, d.dead_pixels), rng.integers(0, columns, d.dead_pixels)
    sensitivity[y, x] = rng.uniform(0.0, 0.4, d.dead_pixels)
    for column in rng.integers(20, columns - 20, d.dead_columns):
        top = int(rng.integers(size // 3, size))
        sensitivity[top:, column] *= np.float32(rng.uniform(0.1, 0.5))
    hot_index = rng.integers(0, size * columns, d.hot_pixels)
    hot_rate = 10.0 ** rng.uniform(-1.0, 1.9, d.hot_pixels)
    low = _smooth_noise(rng, size, 20)[:, None] * 0.4 + _smooth_noise(rng, frame.width, 60)[None, :] * 0.8
    edge = 1.5 * np.exp(-np.arange(frame.width) / 25.0)[None, :]
    bias = (
        d.bias_structure * (low + edge) + 0.25 * d.bias_structure * rng.standard_normal(frame.width)[None, :]
    ).astype(np.float32)
    # columns without light carry the rows' pattern but no column pattern, as the masters of both must agree
    dark = np.ones(frame.width, dtype=bool)
    dark[frame.prescan : frame.prescan + columns] = False
    bias[:, dark] = (d.bias_structure * 0.4 * _row_part(low))[:, None]
    return Chip(sensitivity=sensitivity, hot_index=hot_index, hot_rate=hot_rate, bias=bias)


def _row_part(low: np.ndarray) -> np.ndarray:
    found: np.ndarray = low.mean(axis=1) - low.mean()
    return found


def _smooth_noise(rng: np.random.Generator, size: int, knots: int) -> np.ndarray:
    """Smooth random curve of unit rms with that many knots."""
    values = rng.standard_normal(knots)
    t = np.linspace(0.0, knots - 1.0, size)
    i = np.floor(t).astype(int)
    f = 0.5 - 0.5 * np.cos(np.pi * (t - i))
    j = np.minimum(i + 1, knots - 1)
    curve = values[i] * (1.0 - f) + values[j] * f
    found: np.ndarray = (curve - curve.mean()) / max(float(curve.std()), 1e-9)
    return found


def cosmic_rays(
    profile: InstrumentProfile, seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Cosmic-ray hits of an exposure.

    Muons cross the silicon on straight tracks of isotropic flux times cos^2 of the zenith angle, losing about
    80 electrons per micron with a Landau-like scatter; one hit in six is a slow electron on a crooked path.

    Returns
    -------
    index, electrons, count
        Flat pixel indices (repeated ones add), charge, number of hits.
    """
    d, size, columns = profile.detector, profile.frame.size, profile.frame.columns
    area = (size * d.pixel_um * 1e-4) ** 2
    count = int(rng.poisson(d.cosmic_rate * area * seconds / 60.0))
    index: list[np.ndarray] = []
    charge: list[np.ndarray] = []
    for _ in range(count):
        start = rng.uniform(0.0, size, 2)
        if rng.random() < 1.0 / 6.0:
            steps = int(rng.integers(6, 60))
            direction = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(rng.normal(0.0, 0.45, steps))
            path = start[:, None] + 0.35 * np.cumsum(np.stack([np.sin(direction), np.cos(direction)]), axis=1)
            energy = rng.uniform(120.0, 420.0, steps) * np.linspace(0.6, 1.6, steps)
        else:
            # the chip stands upright at times: a broad range of inclinations against its normal
            tangent = np.tan(np.arccos(np.clip(rng.random() ** (1.0 / 3.0), 0.03, 0.999)))
            length_px = tangent * d.thickness_um / d.pixel_um
            steps = max(int(np.ceil(length_px / 0.2)), 1)
            angle = rng.uniform(0.0, 2.0 * np.pi)
            along = (np.arange(steps) + 0.5) / steps * length_px
            path = start[:, None] + np.stack([np.sin(angle) * along, np.cos(angle) * along])
            micron = np.hypot(length_px * d.pixel_um, d.thickness_um) / steps
            energy = (
                micron * 80.0 * rng.lognormal(0.0, 0.35) * np.clip(1.0 + 0.4 * rng.standard_normal(steps), 0.1, None)
            )
        # charge diffuses a little before it is collected
        spread_px = 0.22 * rng.standard_normal(path.shape)
        pixel = np.floor(path + spread_px).astype(int)
        inside = np.all((pixel >= 0) & (pixel < np.array([[size], [columns]])), axis=0)
        index.append(pixel[0, inside] * columns + pixel[1, inside])
        charge.append(energy[inside])
    if not index:
        return np.zeros(0, dtype=int), np.zeros(0), 0
    return np.concatenate(index), np.concatenate(charge), count


def bleed(electrons: np.ndarray, full_well: float) -> None:
    """Spill charge above the full well along the columns, half up and half down, in place."""
    for x in np.nonzero((electrons > full_well).any(axis=0))[0]:
        column = electrons[:, x]
        for direction in (1, -1):
            carry = 0.0
            rows = range(len(column)) if direction == 1 else range(len(column) - 1, -1, -1)
            for y in rows:
                surplus = column[y] - full_well
                if surplus > 0.0:
                    move = surplus * 0.5 if direction == 1 else surplus
                    column[y] -= move
                    carry += move
                elif carry > 0.0:
                    room = min(-surplus, carry)
                    column[y] += room
                    carry -= room


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readout:
    """A digitised frame, the electrons that were collected in the columns that see light, and how many of these cosmic
    rays left."""

    data: np.ndarray
    collected: np.ndarray
    cosmic_charge: np.ndarray
    cosmic_count: int


def read_out(
    profile: InstrumentProfile,
    chip: Chip,
    expected: np.ndarray,
    *,
    exptime: float,
    mhz: float,
    drift: float,
    rng: np.random.Generator,
    former: np.ndarray | None = None,
) -> Readout:
    """Turn expected electrons into a raw frame of unsigned 16-bit ADU.

    Parameters
    ----------
    profile, chip
        The camera.
    expected : ndarray (size, at least the columns that see light)
        Expected electrons of the light.
    exptime, mhz : float
        Seconds; read-out speed.
    drift : float
        Bias level of this frame against the profile's, ADU.
    rng : Generator
        Randomness of this frame.
    former : ndarray (size, columns that see light), optional
        Electrons of the exposure before, of which the camera gives up its share of `persistence` now.
    """
    d, frame = profile.detector, profile.frame
    size, columns = frame.size, frame.columns
    speed = d.speed(mhz)
    dark = d.dark * (exptime + 0.5 * speed.readout_s)
    mean = expected[:, :columns] * chip.sensitivity + np.float32(dark)
    mean.ravel()[chip.hot_index] += chip.hot_rate * (exptime + 0.5 * speed.readout_s)
    np.clip(mean, 0.0, None, out=mean)
    electrons = _poisson(mean, rng)
    index, charge, count = cosmic_rays(profile, exptime + 0.5 * speed.readout_s, rng)
    hits = np.bincount(index, weights=charge, minlength=size * columns).reshape(size, columns).astype(np.float32)
    electrons += hits
    if former is not None and d.persistence > 0.0:
        # of a generator of its own: hits and noise are those of the frame without
        electrons += _poisson(np.float32(d.persistence) * np.maximum(former, np.float32(0.0)), rng.spawn(1)[0])
    bleed(electrons, d.full_well)
    adu = rng.standard_normal((size, frame.width), dtype=np.float32) * np.float32(speed.read_noise / d.gain)
    adu[:, frame.prescan : frame.prescan + columns] += electrons / np.float32(d.gain)
    rows = d.bias_rows * _smooth_noise(rng, size, 16) + 0.8 * d.bias_rows * np.exp(-np.arange(size) / 90.0)
    adu += chip.bias + (speed.bias + drift + rows[:, None]).astype(np.float32)
    np.rint(adu, out=adu)
    digits = np.clip(adu, 0.0, 65535.0).astype(np.uint16)
    return Readout(data=digits, collected=electrons, cosmic_charge=hits, cosmic_count=count)


def _poisson(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson noise, float32; above 5000 electrons the normal law, which there differs by less than 0.02 sigma."""
    out = mean + np.sqrt(mean) * rng.standard_normal(mean.shape, dtype=np.float32)
    low = mean < 5000.0
    out[low] = rng.poisson(mean[low])
    found: np.ndarray = out.astype(np.float32)
    return found
