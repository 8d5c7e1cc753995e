"""Read back the truth that `truth.py` wrote, for scoring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sedmd.core.errors import ConfigError, SedmError
from sedmd.raw.rawname import stem_of
from sedmd.simulate.observe import plan_night
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.profiles import load_profile
from sedmd.simulate.spectra import photons

#: Transmission of the telluric bands at airmass 1, at the instrument's resolution, below which a wavelength counts as
#: inside a band: for flux in broad bins, and for error bars, which claim nothing about the air.
BAND_TRANSMISSION, CLEAN_TRANSMISSION = 0.98, 0.995
#: Resolution at which the bands are looked at: lambda over the Gaussian sigma.
BAND_RESOLUTION = 250.0
#: Radius of a circle about a source [arcsec] and the share of it that must have lenslets, for light that is cut by the
#: border of the array and for a source that is merely near it.
CUT, NEAR = (3.0, 0.9), (5.0, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueSource:
    """A source of one exposure: role, name, place [arcsec at 6500 A] and flux [erg/s/cm2/A] on `wavelength` [A]."""

    role: str
    name: str
    x_arcsec: float
    y_arcsec: float
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]

    @property
    def magnitude(self) -> float:
        """AB magnitude at 6500 A."""
        level = float(np.interp(6500.0, self.wavelength, self.flux))
        return -2.5 * float(np.log10(max(level, 1e-30) * 6500.0**2 / 2.99792458e18)) - 48.60


class NightTruth:
    """The truth directory of one simulated night.

    Parameters
    ----------
    folder : Path
        ``OUT/truth``.

    Attributes
    ----------
    spaxels : Table, rows as in ``spaxels.fits``
    wavelength : (m,) ndarray, grid of the columns that depend on wavelength [Angstrom, air]
    frames : Table, a row per raw file
    profile, seed : str, int
    """

    def __init__(self, folder: Path) -> None:
        try:
            with fits.open(folder / "spaxels.fits") as hdul:
                self.profile = str(hdul[0].header["PROFILE"])
                self.seed = int(hdul[0].header["SEED"])
                self._planned = str(hdul[0].header["NIGHT"]), str(hdul[0].header["SIZE"])
                self.spaxels = Table.read(hdul["SPAXELS"])
                self.wavelength = np.array(hdul["WAVELENGTH"].data["wavelength"], float)
            self.frames = Table.read(folder / "frames.fits", hdu="FRAMES").filled("")
        except FileNotFoundError as error:
            msg = f"{folder}: no truth of a simulated night here ({error.filename}); give the directory OUT/truth"
            raise SedmError(msg) from error
        self.folder = folder
        self._row = {stem_of(str(name)): i for i, name in enumerate(self.frames["file"])}

    @cached_property
    def plan(self) -> NightPlan | None:
        """The night as it was planned, to render parts of it again; None for a profile of the user's own."""
        night, size = self._planned
        try:
            return plan_night(night=night, seed=self.seed, size=size, profile=self.profile)
        except ConfigError:
            return None

    def frame(self, stem: str) -> Table.Row:
        """Row of the frame table of a raw file, with or without suffix; KeyError for an unknown one."""
        return self.frames[self._row[stem_of(stem)]]

    def knows(self, stem: str) -> bool:
        """Whether this raw file belongs to the night."""
        return stem_of(stem) in self._row

    def column(self, name: str) -> NDArray[np.float64]:
        """A column of the spaxel table as floats."""
        return np.array(self.spaxels[name], float)

    def level_error(self, stem: str) -> float:
        """How well the columns without light tell the bias level of a frame [electron]; infinite without such columns.

        Their read noise over the square root of the number of their pixels.
        """
        try:
            profile = load_profile(self.profile)
        except ConfigError:  # a profile of the user's own, not kept beside the truth
            return 0.0
        columns = profile.frame.width - profile.frame.columns
        if columns == 0:
            return float("inf")
        noise = profile.detector.speed(float(self.frame(stem)["speed"])).read_noise
        return float(noise / np.sqrt(columns * profile.frame.size))

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(n,) whether the whole trace is on the chip."""
        return np.array(self.spaxels["complete"], bool)

    def mean_flexure(self, stems: list[str]) -> tuple[float, float]:
        """Mean (dx, dy) [px] of some raw frames; zero for none."""
        rows = [self.frame(stem) for stem in stems if self.knows(stem)]
        if not rows:
            return 0.0, 0.0
        return float(np.mean([r["flexure_x"] for r in rows])), float(np.mean([r["flexure_y"] for r in rows]))

    def scattered(self, stem: str) -> NDArray[np.float64] | None:
        """Scattered light and dark current [electron/pixel] in 16 x 16 px cells; None for a frame without light."""
        path = self.folder / f"{stem}_scattered.fits.gz"
        if not path.exists():
            return None
        with fits.open(path) as hdul:
            return np.array(hdul[0].data, float) + float(hdul[0].header["DARK"])

    def sources(self, stem: str) -> list[TrueSource]:
        """The sources of an exposure; empty where there are none."""
        path = self.folder / f"{stem}_spectra.fits"
        if not path.exists():
            return []
        with fits.open(path) as hdul:
            table, head = hdul["SPECTRA"].data, hdul["SPECTRA"].header
            return [
                TrueSource(
                    role=str(head[f"ROLE{i}"]),
                    name=str(head[f"NAME{i}"]),
                    x_arcsec=float(head[f"X{i}"]),
                    y_arcsec=float(head[f"Y{i}"]),
                    wavelength=np.array(table["wavelength"], float),
                    flux=np.array(table[f"flux{i}"], float),
                )
                for i in range(1, int(head["NSOURCE"]) + 1)
            ]

    def border(self, source: TrueSource) -> str:
        """How the border of the lens array treats a source: "cut", "near" or "far"."""
        distance = np.hypot(self.column("x_arcsec") - source.x_arcsec, self.column("y_arcsec") - source.y_arcsec)

        def missing(circle: tuple[float, float]) -> bool:
            radius, share = circle
            covered = float((distance < radius).sum()) * self._lenslet_arcsec2
            return covered < share * np.pi * radius**2

        return "cut" if missing(CUT) else "near" if missing(NEAR) else "far"

    @cached_property
    def _response(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Wavelength [A], electrons per erg/cm2/A below one airmass of air without bands, transmission of the bands."""
        with fits.open(self.folder / "sensitivity.fits") as hdul:
            table = hdul["SENSITIVITY"].data
            wavelength = np.array(table["wavelength"], float)
            air = 10.0 ** (-0.4 * np.array(table["extinction"], float))
            response = photons(wavelength, np.array(table["efficiency"], float)) * air
            return wavelength, response, np.array(table["telluric"], float)

    @cached_property
    def _lenslet_arcsec2(self) -> float:
        return float(fits.getheader(self.folder / "sensitivity.fits", "SENSITIVITY")["LENSLET"])

    @cached_property
    def _wings(self) -> tuple[float, float]:
        """Share of the light in the wings of a line, and their sigma [px] (as `render.column_flux` draws them)."""
        try:
            width = load_profile(self.profile).width
        except ConfigError:  # a profile of the user's own, not kept beside the truth: its wings are not known
            return 0.0, 1.0
        return width.wing_fraction, 1.3 * width.wing_scale

    def outside_bands(
        self, wavelength: NDArray[np.floating], transmission: float = BAND_TRANSMISSION
    ) -> NDArray[np.bool_]:
        """Whether the telluric bands let more than `transmission` of a wavelength [A] pass, at its resolution."""
        fine, _, telluric = self._response
        seen = _gaussian_mean(fine, telluric, np.ones_like(fine), wavelength, np.asarray(wavelength) / BAND_RESOLUTION)
        return np.asarray(seen > transmission)

    def expected(
        self, source: TrueSource, wavelength: NDArray[np.floating], *, breathing: float = 1.0
    ) -> NDArray[np.float64]:
        """Flux of a source as a perfect reduction would show it in bins of the instrument's own columns.

        Parameters
        ----------
        source : TrueSource
        wavelength : (n,) ndarray
            Bin centres [Angstrom, air].
        breathing : float
            Factor of the line widths in this exposure.

        Returns
        -------
        (n,) ndarray
            erg/s/cm2/Angstrom.

        Notes
        -----
        Light is blurred after it has passed the optics, so each line profile is weighted with the response: blurred
        flux times response over blurred response. To the line profile of the lenslets near the source are added the
        width of a column and of a bin (1/12 of the square of each).
        """
        place = cKDTree(np.column_stack([self.column("x_arcsec"), self.column("y_arcsec")]))
        _, near = place.query([source.x_arcsec, source.y_arcsec], k=12)
        at = np.asarray(wavelength, float)
        columns = np.array([np.interp(at, self.wavelength, row) for row in self.column("wave_x")[near]])
        per_column = np.abs(np.gradient(at) / np.gradient(columns.mean(axis=0)))
        line = np.sqrt(np.mean(self.column("sigma_line")[near] ** 2, axis=0)) * breathing
        sigma = np.interp(at, self.wavelength, line) * per_column
        extra = (per_column**2 + np.gradient(at) ** 2) / 12.0
        share, wing = self._wings
        core = np.sqrt(sigma**2 + extra)
        broad = np.sqrt(core**2 + (wing * per_column) ** 2)
        fine, response, _ = self._response
        flux = np.interp(fine, source.wavelength, source.flux)
        return np.asarray(
            (1.0 - share) * _gaussian_mean(fine, flux, response, at, core)
            + share * _gaussian_mean(fine, flux, response, at, broad)
        )


def _gaussian_mean(
    fine: NDArray[np.floating],
    values: NDArray[np.floating],
    weight: NDArray[np.floating],
    at: NDArray[np.floating],
    sigma: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Mean of `values` about each of `at`, weighted with `weight` and a Gaussian of width `sigma`."""
    distance = (np.asarray(fine)[None, :] - np.asarray(at)[:, None]) / np.asarray(sigma)[:, None]
    kernel = np.exp(-0.5 * np.clip(distance, -40.0, 40.0) ** 2) * np.asarray(weight)[None, :]
    return np.asarray((kernel @ values) / np.maximum(kernel.sum(axis=1), 1e-300))
