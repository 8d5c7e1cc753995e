"""The rainbow camera beside the spectrograph: four filters on one chip, acquisition and guider frames.

Facts: the robot's configuration and camera drivers of 2022 to 2024 (github.com/scizen9/SEDM_robot).

* 2048 x 2048 pixels of 0.394 arcsec, East to the left and North down, gain 1.77.
* Targets are put on column 1293, row 1280, and moved from there by (-94.9, -118.5) arcsec to the spectrograph, by
  (60, 110) into the filter r.
* Nothing shines through columns 850 to 1250 and rows 800 to 1250: there are the filters' frames and the mirror.
* Frames of 30 s, 10 s with standard stars, begin 5 s after the spectrograph's and come every 40 s, none in its last 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sedmd.simulate.atmosphere import transmission
from sedmd.simulate.plan import PlannedExposure
from sedmd.simulate.rainbow_sky import FieldStar, field_sky
from sedmd.simulate.sources import PointSpread, moffat

SIZE = 2048
SCALE = 0.394
#: Where acquisition puts a target, and from there the telescope's moves [arcsec East, North] into the filter r.
ACQUISITION_PIXEL = (1293.0, 1280.0)
INTO_R = (60.0, 110.0)
CROSS_X, CROSS_Y = (850, 1250), (800, 1250)
GAIN, READ_NOISE, BIAS, FULL = 1.77, 8.0, 620.0, 65535
#: By filter: mean wavelength [A], electrons a second of a star of magnitude 0, sky [mag/arcsec2].
FILTERS = {"u": (3600.0, 6e8, 21.9), "g": (4800.0, 5.0e9, 21.6), "r": (6200.0, 6.5e9, 20.8), "i": (7480.0, 4.5e9, 20.0)}
#: Half the width of a star's stamp [px], and samples of a pixel along each axis.
HALF, FINE = 32, 2
COSMICS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class RainbowCamera:
    """One realisation of the camera: scale [arcsec/px], turn [deg], where the spectrograph's axis falls [px], cubic
    distortion [1/px2] about the middle of the chip, and the tilt of each filter's illumination."""

    scale: float
    turn_deg: float
    spectrograph: tuple[float, float]
    distortion: float
    tilts: dict[str, tuple[float, float]]

    def pixel(self, east: np.ndarray | float, north: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of light that comes from so far East and North of the spectrograph's axis [arcsec]."""
        angle = np.deg2rad(self.turn_deg)
        e, n = np.asarray(east, float) / self.scale, np.asarray(north, float) / self.scale
        x = self.spectrograph[0] - (e * np.cos(angle) - n * np.sin(angle))
        y = self.spectrograph[1] - (e * np.sin(angle) + n * np.cos(angle))
        dx, dy = x - SIZE / 2, y - SIZE / 2
        stretch = 1.0 + self.distortion * (dx**2 + dy**2)
        return SIZE / 2 + dx * stretch, SIZE / 2 + dy * stretch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RainbowFrame:
    """One frame to be: what it is for, when it begins (Julian date), and where the target stands.

    `aim`: where the target's direction falls, East and North of the spectrograph's axis [arcsec], guiding included;
    `encoder`: how far the encoder stands from the target [arcsec].
    """

    purpose: str
    start: float
    exptime: float
    aim: tuple[float, float]
    encoder: tuple[float, float]
    transparency: float
    seeing: PointSpread


def build_rainbow_camera(seed: int) -> RainbowCamera:
    """The camera of a seed."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 606]))
    return RainbowCamera(
        scale=SCALE * (1.0 + 0.003 * float(rng.standard_normal())),
        turn_deg=0.5 * float(rng.standard_normal()),
        spectrograph=(1052.0 + 4.0 * float(rng.standard_normal()), 979.0 + 4.0 * float(rng.standard_normal())),
        distortion=0.4e-9 * float(rng.standard_normal()),
        tilts={band: (float(a), float(b)) for band, (a, b) in zip(FILTERS, 0.02 * rng.standard_normal((4, 2)))},
    )


def frames_of(
    camera: RainbowCamera, exposure: PlannedExposure, *, seed: int, most: int = 60
) -> tuple[RainbowFrame, ...]:
    """The acquisition frame before an exposure of a target, and at most so many guider frames during it."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 607, round(exposure.start * 86400.0)]))
    seconds = 10.0 if exposure.kind == "standard" else 30.0
    starts = np.arange(5.0, exposure.exptime - 7.0 - seconds, 40.0)
    starts = starts[np.unique(np.linspace(0, len(starts) - 1, min(most, len(starts))).astype(int))]
    # where the acquisition pixel looks, against what the encoder says: the pointing error of this direction
    east, north = _direction(camera, ACQUISITION_PIXEL)
    error = (east - exposure.aim[0] - exposure.offset[0], north - exposure.aim[1] - exposure.offset[1])
    step = 0.4 * rng.standard_normal(2)
    acquired = tuple(
        float(there - move - off + slip)
        for there, move, off, slip in zip((east, north), INTO_R, error, step, strict=True)
    )
    made = [_frame("acquisition", exposure, -75.0, 30.0, (acquired[0], acquired[1]), INTO_R, rng)]
    at = np.linspace(0.1, 0.9, len(exposure.pointings)) * exposure.exptime
    for begin in starts:
        guide = [
            float(np.interp(begin + seconds / 2, at, [getattr(p, axis) for p in exposure.pointings]))
            for axis in ("guide_x", "guide_y")
        ]
        jitter = 0.05 * rng.standard_normal(2)
        aim = (exposure.aim[0] + guide[0] + float(jitter[0]), exposure.aim[1] + guide[1] + float(jitter[1]))
        made.append(_frame("guider", exposure, float(begin), seconds, aim, exposure.offset, rng))
    return tuple(made)


def _frame(
    purpose: str,
    exposure: PlannedExposure,
    begin: float,
    seconds: float,
    aim: tuple[float, float],
    encoder: tuple[float, float],
    rng: np.random.Generator,
) -> RainbowFrame:
    seeing = exposure.seeing
    return RainbowFrame(
        purpose=purpose,
        start=exposure.start + begin / 86400.0,
        exptime=seconds,
        aim=aim,
        encoder=encoder,
        transparency=exposure.transparency * float(1.0 + 0.01 * rng.standard_normal()),
        seeing=PointSpread(
            fwhm=seeing.fwhm * float(1.0 + 0.05 * rng.standard_normal()),
            beta=seeing.beta,
            ellipticity=seeing.ellipticity,
            angle_deg=seeing.angle_deg,
        ),
    )


def _direction(camera: RainbowCamera, pixel: tuple[float, float]) -> tuple[float, float]:
    """East and North of the spectrograph's axis [arcsec] that falls on a pixel."""
    east = north = 0.0
    for _ in range(20):
        x, y = camera.pixel(east, north)
        east, north = east - (pixel[0] - float(x)) * camera.scale, north - (pixel[1] - float(y)) * camera.scale
    return east, north


def filter_map() -> dict[str, tuple[slice, slice]]:
    """Rows and columns of each filter."""
    left, right = slice(0, CROSS_X[0]), slice(CROSS_X[1], SIZE)
    low, high = slice(0, CROSS_Y[0]), slice(CROSS_Y[1], SIZE)
    return {"g": (low, left), "u": (low, right), "i": (high, left), "r": (high, right)}


def render_rainbow(
    camera: RainbowCamera, exposure: PlannedExposure, frame: RainbowFrame, *, seed: int, year: float
) -> np.ndarray:
    """The frame as the camera writes it, uint16 (rows, columns); the same bytes after any other frame."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 608, round(frame.start * 86400.0)]))
    sky = field_sky(exposure.ra, exposure.dec, seed=seed)
    stars = sky.at(year, minutes=(frame.start - exposure.start) * 1440.0)
    east = np.array([star.east for star in stars]) + frame.aim[0]
    north = np.array([star.north for star in stars]) + frame.aim[1]
    middle = exposure.pointings[len(exposure.pointings) // 2]
    electrons = np.zeros((SIZE, SIZE))
    for band, (rows, columns) in filter_map().items():
        wavelength, rate, glow = FILTERS[band]
        air = float(
            transmission(np.array([wavelength]), exposure.airmass, water_mm=0.0, extinction_scale=exposure.extinction)[
                0
            ]
        )
        rate *= frame.exptime
        lift = middle.refraction(wavelength)
        x, y = camera.pixel(east + lift[0], north + lift[1])
        light = np.zeros((SIZE, SIZE))
        for star, cx, cy in zip(stars, x, y, strict=True):
            near = columns.start - 9 < cx < columns.stop + 9 and rows.start - 9 < cy < rows.stop + 9
            if near:
                _add(light, star, band, float(cx), float(cy), rate * air * frame.transparency, frame.seeing, wavelength)
        light += rate * 10.0 ** (-0.4 * glow) * camera.scale**2
        tilt = camera.tilts[band]
        axis = (np.arange(SIZE) - SIZE / 2) / SIZE
        light *= 1.0 + tilt[0] * axis[None, :] + tilt[1] * axis[:, None]
        electrons[rows, columns] += light[rows, columns]
    counts = rng.poisson(electrons).astype(float) + READ_NOISE * rng.standard_normal(electrons.shape)
    for _ in range(rng.poisson(COSMICS)):
        _hit(counts, rng)
    return np.clip(np.rint(counts / GAIN + BIAS), 0, FULL).astype(np.uint16)


def _add(
    light: np.ndarray,
    star: FieldStar,
    band: str,
    x: float,
    y: float,
    rate: float,
    seeing: PointSpread,
    wavelength: float,
) -> None:
    """A star's electrons, each pixel averaged over its area."""
    i, j = round(x), round(y)
    low_x, high_x, low_y, high_y = max(i - HALF, 0), min(i + HALF + 1, SIZE), max(j - HALF, 0), min(j + HALF + 1, SIZE)
    if low_x >= high_x or low_y >= high_y:
        return
    sub = (np.arange(FINE) - (FINE - 1) / 2) / FINE
    total = rate * 10.0 ** (-0.4 * star.magnitudes[band])
    dx, dy = np.arange(low_x, high_x) - x, np.arange(low_y, high_y) - y
    stamp = np.zeros((len(dy), len(dx)))
    for a in sub:
        for b in sub:
            stamp += moffat((dx[None, :] + a) * SCALE, (dy[:, None] + b) * SCALE, seeing, wavelength)
    light[low_y:high_y, low_x:high_x] += total * stamp * (SCALE / FINE) ** 2


def _hit(counts: np.ndarray, rng: np.random.Generator) -> None:
    """A cosmic ray: a short straight track."""
    x, y = rng.uniform(0, SIZE, 2)
    angle, length, charge = rng.uniform(0, np.pi), rng.exponential(5.0), rng.exponential(2500.0)
    for step in np.arange(0.0, length + 1.0):
        i, j = int(x + step * np.cos(angle)), int(y + step * np.sin(angle))
        if 0 <= i < SIZE and 0 <= j < SIZE:
            counts[j, i] += charge
