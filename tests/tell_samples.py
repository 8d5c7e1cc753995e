"""Nights to tell of: small products with every figure known, and a ledger that knows the night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.plan.plan import State
from sedmd.products.ascii import CALIBRATED_UNIT, write_ascii
from sedmd.products.sensitivity import write_sensitivity
from sedmd.products.spectrum import Field, write_spectrum
from sedmd.reduce.flux.sensitivity import Sensitivity
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.run.states import JobState, NightState, TargetState

ANGLES = np.deg2rad(30 + 60 * np.arange(6))
CORNERS = 0.36 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
#: Keys that a classifier writes after the header of the ASCII spectrum.
SNID = {
    "SNIDMATCHTYPE": "Ia",
    "SNIDMATCHSUBTYPE": "norm",
    "SNIDMATCHRLAP": "12.3",
    "SNIDMATCHREDSHIFT": "0.0512",
}


def field(rows: int = 9, star: tuple[float, float] = (1.0, -2.0)) -> Field:
    """A picture of a star on a lattice of `rows` squared spaxels; 44 rows are as many as the instrument has."""
    x, y = (0.63 * (axis.ravel() - (rows - 1) / 2) for axis in np.meshgrid(np.arange(rows), np.arange(rows)))
    values = (
        10 + np.random.default_rng(1).normal(0, 1, x.size) + 500 * np.exp(-((x - star[0]) ** 2 + (y - star[1]) ** 2))
    )
    values[0] = np.nan
    return Field(x_arcsec=x, y_arcsec=y, values=values, corners=CORNERS, label="5000-8000 Angstrom")


def spectrum(target: str, **meta: object) -> Spectrum:
    """A spectrum of constant 3e-16 with 5 per cent of noise, and what its header should say."""
    flux = 3e-16 * np.random.default_rng(2).normal(1, 0.05, WAVELENGTH_GRID.size)
    flux[3] = np.nan
    told = {
        "target": target,
        "utc": "2019-06-12 04:20:00.0",
        "exptime_s": 1800.0,
        "airmass": 1.234,
        "quality": 1,
        "reducer": "ann",
        "program": "2019A-I01",
        "seeing_arcsec": 1.7,
        "radius_arcsec": 2.0,
        "x_arcsec": 1.0,
        "y_arcsec": -2.0,
        "method": "psf",
        "is_pair": False,
        "is_standard": False,
        "fluxcal": True,
        "cal_night": "20190612",
        "cal_age_nights": 0,
        "cal_fallback": False,
        "fluxcal_night": "20190612",
        "fluxcal_age_nights": 0,
    }
    return Spectrum(
        wavelength=WAVELENGTH_GRID,
        flux=flux,
        error=np.full(flux.size, 1.5e-17),
        sky=np.full(flux.size, 1e-17),
        unit=CALIBRATED_UNIT,
        meta=told | meta,  # type: ignore[arg-type]
    )


def write_products(
    folder: Path,
    product: str,
    target: str | None = None,
    *,
    snid: dict[str, str] | None = None,
    rows: int = 9,
    picture: bool = True,
    step: str = "calibrate",
    **meta: object,
) -> None:
    """The three files of a spectrum in a night's folder."""
    made = spectrum(target or product, **meta)
    header = fits.Header()
    header["STEP"], header["SNRMED"] = step, 20.5
    write_spectrum(folder / f"sp_{product}.fits", made, header=header, field=field(rows) if picture else None)
    path = folder / f"{product}_SEDM.txt"
    write_ascii(path, made)
    if snid:
        lines = path.read_text().splitlines()
        at = max(n for n, line in enumerate(lines) if line.startswith("#")) + 1
        lines[at:at] = [f"# {key}: {value}" for key, value in snid.items()]
        path.write_text("\n".join(lines) + "\n")
    (folder / f"{product}_SEDM.pdf").write_bytes(b"%PDF-1.4 page of " + product.encode())


def write_flux_calibration(folder: Path, *, share: float = 0.15, stars: Sequence[str] = ("STD-Feige34_obs1",)) -> None:
    """A sensitivity of an instrument that turns `share` of the photons on 18000 cm2 into electrons."""
    photons = WAVELENGTH_GRID / (6.62607015e-27 * 2.99792458e18) * 18000.0
    nothing = np.zeros(WAVELENGTH_GRID.size)
    write_sensitivity(
        folder / "std-correction.fits",
        Sensitivity(
            wavelength=WAVELENGTH_GRID,
            value=share * photons,
            error=nothing + 0.02,
            telluric=nothing,
            stars=tuple(stars),
            scales=(1.0,) * len(stars),
            scatter=nothing,
            floor=nothing,
        ),
        cards={},
    )


def write_cube_header(folder: Path, frame: str, **cards: object) -> None:
    """A cube as far as the figures of a night go: its header."""
    header = fits.Header()
    for key, value in ({"EXPTIME": 900.0, "FLEXX": 0.2, "FLEXY": -0.1, "SCATTLEV": 1.8} | cards).items():
        header[key] = value
    fits.PrimaryHDU(header=header).writeto(folder / f"e3d_crr_b_{frame}_X.fits")


def state(*targets: TargetState, **changes: Any) -> NightState:
    """The state of a quiet night."""
    quiet = NightState(
        night="20190612",
        now=datetime(2019, 6, 12, 20, tzinfo=UTC),
        sunset=datetime(2019, 6, 12, 2, 57, 2, tzinfo=UTC),
        sunrise=datetime(2019, 6, 12, 12, 37, 22, tzinfo=UTC),
        closed=True,
        idle=True,
        frames={"science": 2, "bias": 10, "quarantined": 0},
        last_frame=datetime(2019, 6, 12, 12, tzinfo=UTC),
        targets=targets,
        calibrations=(job("wavelength", "wavelength", figures={"rms [px]": 0.093}),),
    )
    return replace(quiet, **changes)


def job(step: str, label: str, state: State = State.DONE, reason: str = "", **figures: Any) -> JobState:
    """A job in the state of a night."""
    return JobState(step=step, label=label, state=state, reason=reason, **figures)


def observed(name: str, stage: str = "spectrum", reason: str = "", exptime_s: float = 900.0) -> TargetState:
    """An observation in the state of a night; `stage` as `sedmd status` prints it."""
    step, _, stands = stage.partition(" ")
    done = stage == "spectrum"
    return TargetState(
        name=name,
        target=name,
        exptime_s=exptime_s,
        step="calibrate" if done else step,
        state=State.DONE if done else State(stands),
        calibrated=done,
        reason=reason,
    )
