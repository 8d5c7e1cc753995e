"""What the exposure before left in one on the sky: as cards, figures and warnings of its cube. Nothing is corrected."""

from __future__ import annotations

from dataclasses import dataclass, field

from sedmd.core.errors import FrameFault
from sedmd.core.job import Job
from sedmd.products.fitsio import Cards
from sedmd.raw.rawname import stem_of
from sedmd.reduce.detector.bias import MasterBias
from sedmd.reduce.numeric.containers import Image
from sedmd.reduce.traces.frame import Separated
from sedmd.reduce.traces.persistence import Persistence, persistence
from sedmd.reduce.traces.profile import Profile
from sedmd.steps.raw import to_electrons

#: Standard errors from which something is left for certain: a night has some twenty exposures.
SIGNIFICANT = 4.0
#: What is left of the brightest spectra, in units of the noise of a pixel, from which it is worth a sentence: a bin of
#: a spectrum sums some thirty pixels, so that a fifth of the noise of one is all of its own.
MATTERS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What a cube says of the exposure before."""

    cards: Cards = field(default_factory=dict)
    figures: dict[str, float | int | str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def left_by_former(job: Job, image: Image, separated: Separated, profile: Profile, bias: MasterBias) -> Former:
    """Measure what the exposure before left in this one, if the job has one (role ``before``).

    Parameters
    ----------
    image : Image, electron; its cosmic rays not replaced
    separated, profile : as for `sedmd.reduce.traces.persistence.persistence`
    bias : of this exposure; the level of the other does not count
    """
    if not job.inputs.get("before"):
        return Former()
    path = job.one("before")
    try:
        former, _, _ = to_electrons(path, bias)
    except FrameFault:  # it costs what it would tell, not the exposure
        return Former()
    found = persistence(image, separated, profile, former)
    return Former() if found is None else told(found, job.one("raw").name, stem_of(path))


def told(found: Persistence, name: str, before: str) -> Former:
    """Cards of what was measured; figure and warning where it is significant, and where it matters.

    Parameters
    ----------
    name, before : of the exposure and of the one before, as the log names them
    """
    cards: Cards = {
        "PERSIST": (found.share, "share of the light of the exposure before, left here"),
        "PERSERR": (found.error, "its 1-sigma error"),
        "PERSFROM": (before, "the exposure before"),
    }
    if not found.share > SIGNIFICANT * found.error:
        return Former(cards=cards)
    figures = {"persistence [%]": round(100 * found.share, 3)}
    warnings: tuple[str, ...] = ()
    if found.worst > MATTERS:
        warnings = (
            f"{name}: {100 * found.share:.2f} +- {100 * found.error:.2f} % of the light of {before} is left in it, up "
            f"to {found.worst:.2f} times the noise of a pixel, at most {MATTERS:g} expected; spectra at the place of a "
            "star that was there are too bright. Leave more time after bright stars",
        )
    return Former(cards=cards, figures=dict(figures), warnings=warnings)
