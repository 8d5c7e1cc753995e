"""What should make an observer look once more before a spectrum is saved. Pure functions of what is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.observation.aperture import Extraction
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.aperture import Ellipse
from sedmview.model import Choice

#: Bins by which a spectrum is judged [Angstrom]: those in which the pipeline states the signal-to-noise ratio.
JUDGED = (4500.0, 8500.0)
#: A spectrum that differs by more than this from the graded one is another one.
MOST_CHANGE = 0.02
#: With less of a star's light, or of its own area, the aperture says little of the flux.
LEAST_INSIDE = 0.60
#: A and B disagree when their levels differ by more than so many errors, and by more than clouds and guiding make
#: from one exposure to the next (the scatter of a night's standard stars is 5 to 10 %).
PAIR_SIGMAS, PAIR_LEVEL = 3.0, 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What was graded: the apertures and switches of the choice, and the spectrum that it showed."""

    setting: tuple[object, ...]
    spectrum: Spectrum

    @classmethod
    def of(cls, choice: Choice, spectrum: Spectrum) -> Graded:
        return cls(setting=setting_of(choice), spectrum=spectrum)


def setting_of(choice: Choice) -> tuple[Ellipse | bool | None, ...]:
    """All that an observer decides of a spectrum, but for its grade."""
    return (choice.a, choice.b, choice.skysub, choice.point_source, choice.fitted, choice.object_visible)


def has_signal(spectrum: Spectrum) -> bool:
    """Whether the signal-to-noise ratio can be given at all: a bin with flux and error."""
    return bool(_judged(spectrum).any())


def concerns_of(extraction: Extraction, choice: Choice, graded: Graded | None) -> tuple[str, ...]:
    """Why what would be saved should be looked at again; empty where nothing asks for it.

    Parameters
    ----------
    extraction : Extraction
        Of what would be saved.
    choice : Choice
    graded : Graded or None
        What the grade was given to; None where that is not known.
    """
    if not choice.object_visible:
        return ()
    found = [_changed(extraction.spectrum, choice, graded), _disagreement(extraction)]
    found += [_little_inside(extraction, letter, number) for number, letter in enumerate(choice.letters)]
    return tuple(filter(None, found))


def change(spectrum: Spectrum, former: Spectrum) -> float:
    """By how much a spectrum exceeds its former self: the factor that fits all judged bins best, less one.

    NaN where the two have no bin in common.
    """
    good = _judged(spectrum) & _judged(former)
    weight = 1.0 / former.error[good] ** 2
    power = float(np.sum(weight * former.flux[good] ** 2))
    return float(np.sum(weight * spectrum.flux[good] * former.flux[good])) / power - 1 if power > 0 else float("nan")


def disagreement(a: Spectrum, b: Spectrum) -> float | None:
    """The level of B in units of that of A where they disagree by more than their errors; None where they agree.

    Means over the judged bins, with the same weights for both: noise makes neither the larger.
    """
    good = _judged(a) & _judged(b)
    weight = 1.0 / (a.error[good] ** 2 + b.error[good] ** 2)
    if not good.any():
        return None
    total = float(weight.sum())
    level_a, level_b = (float(np.sum(weight * one.flux[good])) / total for one in (a, b))
    apart, between = abs(level_b - level_a), 0.5 * (abs(level_a) + abs(level_b))
    if apart <= max(PAIR_SIGMAS * total**-0.5, PAIR_LEVEL * between):
        return None
    return level_b / level_a if level_a else float("inf")


def _changed(spectrum: Spectrum, choice: Choice, graded: Graded | None) -> str:
    if graded is None or graded.setting != setting_of(choice):
        return ""
    if spectrum.unit != graded.spectrum.unit:
        return f"the unit is {spectrum.unit} now; it was {graded.spectrum.unit} when you graded it"
    by = change(spectrum, graded.spectrum)
    return f"the search has changed the flux by {100 * by:+.0f} % since you graded it" if abs(by) > MOST_CHANGE else ""


def _disagreement(extraction: Extraction) -> str:
    if len(extraction.parts) != 2:
        return ""
    ratio = disagreement(*(part.spectrum for part in extraction.parts))
    return "" if ratio is None else f"B has {ratio:.2f} times the flux of A: are both the target?"


def _little_inside(extraction: Extraction, letter: str, number: int) -> str:
    if number >= len(extraction.parts):
        return ""
    meta = extraction.parts[number].spectrum.meta
    of = f" of {letter}" if len(extraction.parts) == 2 else ""
    on_field, share = meta.get("aperture_inside"), meta.get("aperture_share")
    if isinstance(on_field, float) and on_field < LEAST_INSIDE:
        return f"only {100 * on_field:.0f} % of the aperture{of} lies on the field"
    if isinstance(share, float) and share < LEAST_INSIDE:
        return f"only {100 * share:.0f} % of a star's light lies inside the aperture{of}"
    return ""


def _judged(spectrum: Spectrum) -> NDArray[np.bool_]:
    wavelength = spectrum.wavelength
    good = (wavelength > JUDGED[0]) & (wavelength < JUDGED[1])
    return np.asarray(good & np.isfinite(spectrum.flux) & np.isfinite(spectrum.error) & (spectrum.error > 0))
