"""Which earlier night's calibrations may replace tonight's: whole sets of one night, never a mixture.

Traces, wavelengths and flat belong together (each was made from the one before), and so does the bias under the lamps
they come from. A set is good when all of them are done and each was made from the others as they are now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sedmd.core.recipe import RECIPE
from sedmd.ledger.records import JobRow

#: Steps whose products make a set.
SET_STEPS = ("bias", "traces", "wavelength", "flat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A product of another job: its file, and the checksum by which it enters the key of what is made from it."""

    path: Path
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSet:
    """The calibrations of one night.

    Attributes
    ----------
    age_nights : int
        Nights between it and the night that uses it.
    bias : mapping of label to Reference
        Labels as `bias_label` gives them.
    """

    night: str
    age_nights: int
    bias: Mapping[str, Reference]
    traces: Reference
    wavelength: Reference
    flat: Reference

    def as_option(self) -> dict[str, str | int]:
        """As the options of a job name it; becomes the cards CALNIGHT and CALAGE."""
        return {"night": self.night, "age_nights": self.age_nights}


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxCalibration:
    """The flux calibration of an earlier night."""

    night: str
    age_nights: int
    fluxcal: Reference

    def as_option(self) -> dict[str, str | int]:
        """As the options of a job name it; becomes the cards FLXNIGHT and FLXAGE."""
        return {"night": self.night, "age_nights": self.age_nights}


def bias_label(speed_mhz: float) -> str:
    """How the master bias of a read-out speed is called."""
    return f"bias {speed_mhz:.1f} MHz"


def output_checksum(key: str, role: str) -> str:
    """By which the product `role` of the job `key` enters other keys."""
    return f"{key}/{role}"


def age_nights(night: str, for_night: str) -> int:
    """Nights from `night` to `for_night`, both ``YYYYMMDD``."""
    first, last = (datetime.strptime(text, "%Y%m%d") for text in (night, for_night))
    return (last - first).days


def calibration_set(night: str, jobs: Sequence[JobRow], *, folder: Path, for_night: str) -> CalibrationSet | None:
    """The set of a night, or None if it is not whole.

    Parameters
    ----------
    jobs : sequence of JobRow
        The night's done jobs of the steps `SET_STEPS` whose products are current.
    folder : Path
        The night's directory of products.
    for_night : str
        The night that is to use it.
    """
    by_label = {(job.step, job.label): job for job in jobs}
    chain = {step: by_label.get((step, step)) for step in ("traces", "wavelength", "flat")}
    traces, wavelength, flat = chain["traces"], chain["wavelength"], chain["flat"]
    if traces is None or wavelength is None or flat is None:
        return None
    needed = {("traces", output_checksum(traces.key, "traces"))}
    if not needed <= set(wavelength.inputs):
        return None
    needed.add(("wavelength", output_checksum(wavelength.key, "wavelength")))
    if not needed <= set(flat.inputs):
        return None
    bias = {
        job.label: _reference(job, "bias", folder / RECIPE["bias"].makes["bias"].format(speed=_speed(job.label)))
        for job in jobs
        if job.step == "bias"
    }
    if not bias:
        return None
    return CalibrationSet(
        night=night,
        age_nights=age_nights(night, for_night),
        bias=bias,
        traces=_reference(traces, "traces", folder / RECIPE["traces"].makes["traces"]),
        wavelength=_reference(wavelength, "wavelength", folder / RECIPE["wavelength"].makes["wavelength"]),
        flat=_reference(flat, "flat", folder / RECIPE["flat"].makes["flat"]),
    )


def flux_calibration(night: str, jobs: Sequence[JobRow], *, folder: Path, for_night: str) -> FluxCalibration | None:
    """The flux calibration of a night, or None; `jobs` are its done jobs of the step ``fluxcal`` that are current."""
    made = next((job for job in jobs if job.step == "fluxcal"), None)
    if made is None:
        return None
    reference = _reference(made, "fluxcal", folder / RECIPE["fluxcal"].makes["fluxcal"])
    return FluxCalibration(night=night, age_nights=age_nights(night, for_night), fluxcal=reference)


def _reference(job: JobRow, role: str, path: Path) -> Reference:
    return Reference(path=path, checksum=output_checksum(job.key, role))


def _speed(label: str) -> float:
    return float(label.split()[1])
