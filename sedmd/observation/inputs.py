"""What an observation is reduced with besides its cubes: who the target is, which star and flux calibration tell.

The planner chooses these for a job (`inputs_of`); `sedmd.run.chosen` asks the plan for the window. Without a ledger
the headers of the files around a cube have to tell (`inputs_by_headers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sedmd.core.config import AutomaticExtraction, Calibrations
from sedmd.core.job import Job
from sedmd.core.recipe import RECIPE
from sedmd.host.foreign_file import each
from sedmd.plan.calibrations import age_nights
from sedmd.products.fitsio import card_value, primary_header
from sedmd.raw.cards import truth
from sedmd.raw.epochs import changed_by
from sedmd.raw.frames import Frame, Kind
from sedmd.raw.visits import half_by_label

#: Name of a night's flux calibration.
FLUXCAL = "std-correction.fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is observed.

    Attributes
    ----------
    name : str
        The target as it was typed.
    standard : bool
        A standard star, tabulated or not.
    star : str
        Its key in the table of standard stars; empty for everything else.
    half : str
        "A" or "B" for that exposure of a pair without the other; empty for a pair and for a single.
    name_doubt : str
        Why the target may be another one than its name says; empty where nothing contradicts.
    """

    name: str
    standard: bool = False
    star: str = ""
    half: str = ""
    name_doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxSource:
    """A flux calibration: its file, its night, how many nights old it is, and whether it is an earlier night's."""

    path: Path
    night: str
    age_nights: int = 0
    fallback: bool = False

    @property
    def told(self) -> str:
        """``flux calibration from 20190612 (2 nights old)``."""
        return f"flux calibration from {self.night} ({self.age_nights} night{'' if self.age_nights == 1 else 's'} old)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that an observation's spectrum is made with besides the cubes.

    Attributes
    ----------
    subject : Subject
    star : Path or None
        Spectrum of the standard star that gives PSF width and target position: the night's nearest in time.
    guides : tuple of Path or None
        What acquisition and guider frames of each exposure tell; empty where none has such frames.
    flux : FluxSource or None
        None before the first standard star, where no earlier night's can be used either.
    settings : AutomaticExtraction
    by_headers : bool
        No ledger told of this observation: star and flux calibration were found by the headers in the folder.
    """

    subject: Subject
    star: Path | None = None
    guides: tuple[Path | None, ...] = ()
    flux: FluxSource | None = None
    settings: AutomaticExtraction = field(default_factory=AutomaticExtraction)
    by_headers: bool = False


def subject_of(job: Job, *, name: str = "") -> Subject:
    """The target of a job; `name` counts where the job's options have none."""
    options = job.options
    return Subject(
        name=str(options.get("name") or name),
        standard=bool(options.get("standard")),
        star=str(options.get("star") or ""),
        half=str(options.get("half_of_pair") or ""),
        name_doubt=str(options.get("name_doubt") or ""),
    )


def flux_of(job: Job) -> FluxSource | None:
    """The flux calibration among the inputs of a job; None if it has none."""
    if not job.inputs.get("fluxcal"):
        return None
    earlier = job.options.get("fluxcal")
    return FluxSource(
        path=job.one("fluxcal"),
        night=str(earlier["night"]) if earlier else job.night,
        age_nights=int(earlier["age_nights"]) if earlier else 0,
        fallback=bool(earlier),
    )


def guides_of(extract: Job) -> tuple[Path | None, ...]:
    """What guider frames of each exposure of an extraction tell; empty without."""
    roles = ("guide_a", "guide_b") if "cube_a" in extract.inputs else ("guide",)
    given = tuple(extract.one(role) if extract.inputs.get(role) else None for role in roles)
    return given if any(given) else ()


def inputs_of(extract: Job, calibrate: Job | None = None) -> Inputs:
    """What the planner chose for an observation, from its jobs ``extract`` and ``calibrate``."""
    usual, options = AutomaticExtraction(), extract.options
    return Inputs(
        subject=subject_of(extract),
        star=extract.one("star") if extract.inputs.get("star") else None,
        guides=guides_of(extract),
        flux=None if calibrate is None else flux_of(calibrate),
        settings=AutomaticExtraction(
            min_confidence=float(options.get("min_confidence", usual.min_confidence)),
            pointing_arcsec=options.get("pointing_arcsec"),
            seeing_arcsec=float(options.get("seeing_arcsec", usual.seeing_arcsec)),
            cutouts=Path(options["cutouts"]) if options.get("cutouts") else None,
        ),
    )


def subject_by_header(frames: Sequence[Frame]) -> Subject:
    """The target as the headers of its raw frames name it."""
    first = frames[0]
    return Subject(
        name=first.name,
        standard=first.kind is Kind.STANDARD,
        star=first.star,
        half=first.nod if len(frames) == 1 and first.pair and half_by_label(first) else "",
        name_doubt=next((one.contradiction for one in frames if one.name_doubtful), ""),
    )


def inputs_by_headers(
    frames: Sequence[Frame],
    folder: Path,
    *,
    settings: AutomaticExtraction | None = None,
    rules: Calibrations | None = None,
) -> Inputs:
    """What the headers in a folder tell of an observation that no ledger knows.

    Parameters
    ----------
    frames : sequence of Frame
        One exposure, or A and B.
    folder : Path
        Of the cubes: ``YYYYMMDD`` where earlier nights' flux calibrations may stand in.
    settings : AutomaticExtraction, optional
    rules : Calibrations, optional
        How old an earlier night's flux calibration may be.
    """
    return Inputs(
        subject=subject_by_header(frames),
        star=None if frames[0].kind is Kind.STANDARD else nearest_star(folder, frames[0].start),
        guides=guides_beside([frame.stem for frame in frames], folder),
        flux=flux_by_headers(folder, max_age_nights=(rules or Calibrations()).fallback_max_age_nights),
        settings=settings or AutomaticExtraction(),
        by_headers=True,
    )


def guides_beside(stems: Sequence[str], folder: Path) -> tuple[Path | None, ...]:
    """What guider frames of each exposure, by the name of its raw frame, tell, in the folder of the cubes."""
    paths = [folder / RECIPE["guide"].makes["guide"].format(stem=stem) for stem in stems]
    given = tuple(path if path.exists() else None for path in paths)
    return given if any(given) else ()


def nearest_star(folder: Path, start: datetime) -> Path | None:
    """Spectrum in a folder of the standard star that was observed nearest in time to `start`; None without one."""

    def apart_s(path: Path) -> float | None:
        header = primary_header(path)
        when = _time(header.get("OBSUTC")) if truth(header.get("STDSTAR")) else None
        return None if when is None else abs((when - start.replace(tzinfo=None)).total_seconds())

    # one that is being made anew, or is broken, tells nothing: another does
    stars, _ = each(sorted(folder.glob("ext_*.fits")), apart_s)
    known = {path: apart for path, apart in stars.items() if apart is not None}
    return min(known, key=lambda path: known[path], default=None)


def flux_by_headers(folder: Path, *, max_age_nights: int) -> FluxSource | None:
    """The flux calibration in a night's folder, or the newest of the nights beside it; None without one."""
    own = folder / FLUXCAL
    if own.exists():
        night = _night_of(own)
        earlier = _is_night(folder.name) and _is_night(night) and night < folder.name
        age = age_nights(night, folder.name) if earlier else 0
        return FluxSource(path=own, night=night, age_nights=age, fallback=earlier)
    if not _is_night(folder.name):
        return None
    oldest = (datetime.strptime(folder.name, "%Y%m%d") - timedelta(days=max_age_nights)).strftime("%Y%m%d")
    since = max(oldest, changed_by(folder.name))
    nights = sorted(one.parent.name for one in folder.parent.glob(f"[12]*/{FLUXCAL}"))
    nights = [one for one in nights if _is_night(one) and since <= one < folder.name]
    if not nights:
        return None
    night = nights[-1]
    path = folder.parent / night / FLUXCAL
    return FluxSource(path=path, night=night, age_nights=age_nights(night, folder.name), fallback=True)


def _night_of(path: Path) -> str:
    """The night of a product by its header, or by the folder that it lies in."""
    told: dict[Path, str]
    told, _ = each([path], lambda one: str(card_value(primary_header(one), "NIGHT") or ""))
    return told.get(path) or path.parent.name


def _is_night(text: str) -> bool:
    try:
        return len(text) == 8 and bool(datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False


def _time(text: object) -> datetime | None:
    """``YYYY-MM-DD HH:MM:SS.s`` as our spectra have it; None for anything else."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
