"""How the sky lights the spaxels otherwise than the dome: what a night measures of it, and later nights' flats use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sedmd.core.job import Job, Result
from sedmd.core.memory_figures import GIVEN_SKY, OWN_SKY
from sedmd.products.cube import read_cube
from sedmd.products.fitsio import Cards
from sedmd.products.provenance import provenance
from sedmd.products.sky_flat import write_sky_flat
from sedmd.products.solution import TraceSet, read_field_centre, read_sky_factor, read_traces
from sedmd.raw.cards import number_of, truth
from sedmd.reduce.cube.sky_memory import EarlierPattern, ToldPattern, patterns_in
from sedmd.reduce.cube.sky_pattern import NightPattern, SkyPattern, night_pattern, sky_pattern
from sedmd.reduce.cube.sky_share import LEAST_ARCSEC, SkyShare, sky_share

#: Where a target is expected to within more than this [arcsec], it may be anywhere.
MOST_SPREAD_ARCSEC = 2.5


def make_sky_flat(job: Job) -> Result:
    """Measure how the sky of the night's exposures of targets lights the spaxels otherwise than the dome."""
    found, applied = read_traces(job.one("traces")), read_sky_factor(job.one("flat"))
    shares: list[tuple[str, SkyShare]] = []
    for path in sorted(job.inputs["cubes"], key=lambda path: path.name):
        cube, header = read_cube(path)
        place, within = expected_at(header)
        share = sky_share(cube, place=place, within_arcsec=within)
        if share is not None:
            shares.append((path.name, share))
    pattern = night_pattern([share for _, share in shares], applied, found.spaxels)
    seen = 0 if pattern is None else int(np.isfinite(pattern.value).sum())
    cards: Cards = {
        "NEXP": (len(shares), "exposures with enough sky"),
        "NSEEN": (seen, "spaxels that were seen away from objects"),
        **{f"EXP{number}": (name, "exposure used") for number, (name, _) in enumerate(shares[:99], start=1)},
    }
    figures: dict[str, Any] = {"exposures": len(shares), "of": len(job.inputs["cubes"]), "spaxels": seen}
    if pattern is not None:
        known = np.isfinite(pattern.value)
        rms, error = float(np.std(pattern.value[known])), float(np.median(pattern.error[known]))
        cards = {
            **cards,
            "SKYRMS": (rms, "rms of VALUE over the spaxels, noise in it"),
            "SMTHERR": (pattern.smooth_error, "1 sigma of each term of slope and curvature"),
        }
        figures |= {
            "rms [%]": round(100 * rms, 2),
            "noise [%]": round(100 * error, 2),
            "slope +- [%]": round(100 * pattern.smooth_error, 2),
            OWN_SKY: str(ToldPattern.on(pattern, found.spaxels, read_field_centre(job.one("traces")))),
        }
    write_sky_flat(job.outputs["skyflat"], pattern, found.spaxels, cards=cards, provenance=provenance(job))
    return Result(figures=figures)


def expected_at(header: Mapping[str, Any]) -> tuple[tuple[float, float] | None, float]:
    """Where a cube's target is expected, and how far around it the sky is not asked [arcsec]; None where nobody knows.

    A target that is too faint to be seen in any exposure would, night after night, be taken for the sky.
    """
    spread = number_of(header.get("PLACEERR"), np.inf)
    if not header.get("PLACESRC") or not spread < MOST_SPREAD_ARCSEC or truth(header.get("ABPAIR")):
        return None, 0.0
    return (float(header["PLACEX"]), float(header["PLACEY"])), LEAST_ARCSEC + spread


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyCorrection:
    """What earlier nights make of a flat: the pattern, or None; cards, figures and warnings of the flat."""

    pattern: SkyPattern | None = None
    cards: Cards = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def sky_correction(job: Job, found: TraceSet, traces: Path) -> SkyCorrection:
    """The correction of the night's flat by what earlier nights told (option `sky`).

    What cannot be read, or is no illumination, costs the correction and not the flat.

    Parameters
    ----------
    found : what `traces` holds
    """
    if "sky" not in job.options:
        return SkyCorrection()
    given = str(job.options["sky"])
    figures: dict[str, Any] = {GIVEN_SKY: given}
    warnings: tuple[str, ...] = ()
    try:
        laid, warnings = _laid(patterns_in(given), found, read_field_centre(traces))
        pattern = sky_pattern([night for _, night in laid], found.spaxels, found.complete)
    except ValueError as error:
        return SkyCorrection(figures=figures, warnings=(*warnings, f"flat: {error}; it is not corrected for the sky"))
    if pattern is None:
        return SkyCorrection(figures=figures, warnings=warnings)
    nights = list(enumerate((one for one, _ in laid), start=1))
    rms = float(np.std(pattern.factor[found.complete]))
    left = float(np.sqrt(np.mean(pattern.error[found.complete] ** 2)))
    cards: Cards = {
        "SKYNIGHT": (len(nights), "earlier nights whose sky corrects the flat"),
        "SKYSMTH": (pattern.parts["smooth"], "rms of that correction: slope and curvature"),
        "SKYLOCAL": (pattern.parts["local"], "rms: what neighbouring spaxels share besides"),
        "SKYSINGL": (pattern.parts["single"], "rms: single spaxels"),
        "SKYLEFT": (left, "rms of what is left of it, expected"),
        "SKYNITSM": (pattern.nightly["smooth"], "rms by which nights disagree in the first,"),
        "SKYNITLO": (pattern.nightly["local"], "in the second"),
        "SKYNITSI": (pattern.nightly["single"], "and in the third, beyond their noise"),
        **{f"SKYNITE{number}": (one.night, "earlier night used") for number, one in nights},
        **{f"SKYAGE{number}": (one.age_nights, "[night] how old it is") for number, one in nights},
    }
    figures |= {"sky nights": len(nights), "sky [%]": round(100 * rms, 2), "left [%]": round(100 * left, 2)}
    return SkyCorrection(pattern=pattern, cards=cards, figures=figures, warnings=warnings)


def _laid(
    earlier: tuple[EarlierPattern, ...], found: TraceSet, centre: tuple[float, float]
) -> tuple[list[tuple[EarlierPattern, NightPattern]], tuple[str, ...]]:
    """Those of the same lattice, on the night's spaxels, and a sentence for each of the others."""
    laid, other = [], []
    for one in earlier:
        night = one.told.on_spaxels(found.spaxels, centre)
        if night is None:
            other.append(one.night)
        else:
            laid.append((one, night))
    warnings = tuple(
        f"flat: the sky of {night} is not used: its spaxels look elsewhere than tonight's, the same field centre and "
        "lattice expected"
        for night in other
    )
    return laid, warnings
