"""What the observer decides about one target, without any window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from sedmd.core.quality import QUALITIES
from sedmd.observation.decisions import Decision, Picture, Placement
from sedmd.observation.load import Observation
from sedmd.observation.suggestion import Suggestion
from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.numeric.containers import FloatArray
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.find import RIM_ARCSEC, edge_distance, rim_distance
from sedmd.reduce.target.place import Place
from sedmview.apertures import START_RADIUS, like, placed
from sedmview.pictures import WINDOWS, ColourScale, automatic_scale, bounded, peak_near

#: Colour maps for one exposure, and for A minus B: perceptually uniform, safe for the colour-blind.
MAPS: tuple[str, ...] = ("viridis", "cividis", "gray", "inferno")
PAIR_MAPS: tuple[str, ...] = ("night", "CET-D1A", "CET-CBD1", "gray")


class Stage(StrEnum):
    """Where the observer is: first the scaling, then apertures and grade."""

    SCALE = "scale"
    PLACE = "place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Everything the observer decides about one target.

    Attributes
    ----------
    a, b : Ellipse, or None for `b` of a single exposure
    active : "A" or "B", the aperture that keys and clicks act on
    placed : letters of the apertures that the observer has put somewhere
    skysub : subtract the sky around the aperture
    point_source : correct for the light of a point source that falls beyond the aperture
    fitted : the pipeline's own spectrum, PSF and host fitted together, as long as no aperture is moved
    scale : Scale of the picture
    window : range of wavelength of the picture [Angstrom]
    colours, inverted : name of the colour map, and whether it runs backwards
    grade : key of `sedmd.observation.decisions.QUALITIES`, or None
    object_visible : False after "no target visible"
    partial : one exposure of a pair is used deliberately without the other
    """

    a: Ellipse
    b: Ellipse | None
    scale: ColourScale
    active: str = "A"
    placed: frozenset[str] = frozenset()
    skysub: bool = True
    point_source: bool = True
    fitted: bool = False
    window: tuple[float, float] = (WINDOWS[0].low, WINDOWS[0].high)
    colours: str = MAPS[0]
    inverted: bool = False
    grade: int | None = None
    object_visible: bool = True
    partial: bool = False

    @property
    def letters(self) -> tuple[str, ...]:
        return ("A",) if self.b is None else ("A", "B")

    @property
    def apertures(self) -> tuple[Ellipse, ...]:
        """A, and B where there is one."""
        return tuple(self.of(letter) for letter in self.letters)

    @property
    def aperture(self) -> Ellipse:
        """The active aperture."""
        return self.of(self.active)

    def of(self, letter: str) -> Ellipse:
        return self.b if letter == "B" and self.b is not None else self.a

    def with_aperture(self, ellipse: Ellipse, letter: str | None = None) -> Choice:
        """The choice with an aperture elsewhere; the spectrum then is that of the apertures."""
        letter = letter or self.active
        if ellipse == self.of(letter):
            return self
        if letter == "B" and self.b is not None:
            return replace(self, b=ellipse, fitted=False)
        return replace(self, a=ellipse, fitted=False)

    @property
    def picture(self) -> Picture:
        return Picture(
            window=self.window,
            low=self.scale.low,
            high=self.scale.high,
            stretch=self.scale.stretch,
            colours=self.colours,
        )


def fit_offered(choice: Choice, suggestion: Suggestion | None) -> bool:
    """Whether the pipeline's own spectrum is one of these apertures: it has one, and they lie where it found them."""
    if suggestion is None or suggestion.told is None:
        return False
    return (choice.a, choice.b) == (suggestion.a, suggestion.b) and choice.object_visible


def placement_of(choice: Choice, suggestion: Suggestion | None) -> Placement:
    """What the spectrum depends on; the image of a star and the pipeline's fit come with the suggestion."""
    fit = suggestion.told if suggestion is not None and choice.fitted and fit_offered(choice, suggestion) else None
    return Placement(
        a=choice.a,
        b=choice.b,
        skysub=choice.skysub,
        point_source=choice.point_source,
        psf_a=suggestion.psf_a if suggestion else None,
        psf_b=suggestion.psf_b if suggestion else None,
        fit=fit,
    )


def picture_of(observation: Observation, window: tuple[float, float]) -> FloatArray:
    """Mean flux of each spaxel in a range of wavelength; NaN where no sample is good."""
    low, high = bounded(*window, observation.field_cube.wavelength)
    return collapse(observation.field_cube, low, high)


def residual_of(observation: Observation, window: tuple[float, float], left: FloatArray) -> FloatArray:
    """The picture of the data minus what was fitted, on the level of the field; the data where nothing was fitted.

    Parameters
    ----------
    observation : Observation
    window : range of wavelength [Angstrom]
    left : (n_wave, n_spaxel) data minus model, NaN where nothing was fitted
    """
    cube = observation.field_cube
    values = picture_of(observation, window)
    hidden = np.where(np.isfinite(left), cube.mask, cube.mask | 1)
    flat = replace(cube, flux=np.nan_to_num(left), mask=hidden.astype(cube.mask.dtype))
    level = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    residual = collapse(flat, *bounded(*window, cube.wavelength)) + level
    return np.where(np.isfinite(residual), residual, values)


def scale_for(
    observation: Observation,
    window: tuple[float, float],
    places: Sequence[Ellipse],
    *,
    how: str = "",
    stretch: str = "linear",
) -> ColourScale:
    """Automatic limits of the picture, by the peak of the object where the apertures are."""
    values, spaxels = picture_of(observation, window), observation.field_cube.spaxels
    middles = [(one.x_arcsec, one.y_arcsec) for one in places]
    peak = peak_near(values, spaxels.x_arcsec, spaxels.y_arcsec, middles)
    return automatic_scale(values, symmetric=observation.pair, how=how, stretch=stretch, peak=peak)


def first_choice(observation: Observation, expected: Sequence[Place] = ()) -> Choice:
    """Apertures where the target is expected, or on the brightest spot; B where the nod predicts; robust limits.

    Parameters
    ----------
    observation : Observation
    expected : sequence of Place
        Where the target is expected, the likeliest first; none where nobody knows.
    """
    low, high = bounded(WINDOWS[0].low, WINDOWS[0].high, observation.field_cube.wavelength)
    values = picture_of(observation, (low, high))
    a = first_aperture(observation, expected, values)
    return Choice(
        a=a,
        b=predicted_b(observation, a) if observation.pair else None,
        scale=scale_for(observation, (low, high), (a,)),
        window=(low, high),
        colours=(PAIR_MAPS if observation.pair else MAPS)[0],
    )


def first_aperture(observation: Observation, expected: Sequence[Place], values: FloatArray) -> Ellipse:
    """Where A is before anybody has put it somewhere: never at the rim of the field, whose spaxels are often false.

    Parameters
    ----------
    observation : Observation
    expected : sequence of Place
    values : (n,) picture of the field, NaN where nothing is known
    """
    spaxels = observation.field_cube.spaxels
    start = Ellipse(x_arcsec=0.0, y_arcsec=0.0, semi_major_arcsec=START_RADIUS)
    for place in expected:
        if edge_distance(spaxels, place.x_arcsec, place.y_arcsec) > RIM_ARCSEC:
            return placed(start, place.x_arcsec, place.y_arcsec)
    x, y = spaxels.x_arcsec, spaxels.y_arcsec
    smooth = _neighbour_median(observation, values)
    # the wings of what lies at the rim are brightest next to it: an object of its own is brighter than all around it
    near = np.hypot(x - x[:, None], y - y[:, None]) < RIM_ARCSEC
    around = np.where(near & np.isfinite(smooth), smooth, -np.inf).max(axis=1)
    inner = np.isfinite(smooth) & (smooth >= around) & (rim_distance(spaxels) > RIM_ARCSEC)
    if not inner.any():
        return start
    brightest = int(np.argmax(np.where(inner, smooth, -np.inf)))
    return placed(start, float(x[brightest]), float(y[brightest]))


def predicted_b(observation: Observation, a: Ellipse) -> Ellipse:
    """Where B lies when A lies there: by the nod, with the sign that finds more negative light.

    The control software has had both signs of the offsets. Without offsets: the darkest spot of A minus B.
    """
    values = _neighbour_median(observation, picture_of(observation, (5000.0, 8000.0)))
    x, y = observation.field_cube.spaxels.x_arcsec, observation.field_cube.spaxels.y_arcsec
    if observation.nod is None:
        if not np.isfinite(values).any():
            return a
        darkest = int(np.nanargmin(values))
        return placed(a, float(x[darkest]), float(y[darkest]))

    def light(place: Ellipse) -> float:
        near = np.isfinite(values) & (np.hypot(x - place.x_arcsec, y - place.y_arcsec) < START_RADIUS)
        return float(values[near].min()) if near.any() else 0.0

    dx, dy = observation.nod
    told, turned = (placed(a, a.x_arcsec + sign * dx, a.y_arcsec + sign * dy) for sign in (1, -1))
    # the other sign must be clearly better to be believed
    return turned if light(turned) < min(2 * light(told), 0.0) else told


def without_object(choice: Choice, observation: Observation, expected: Sequence[Place]) -> Choice:
    """Nothing is seen: the spectrum is that of the sky where the target is expected, and not of what lies elsewhere."""
    a = first_aperture(observation, expected, np.full(len(observation.field_cube.spaxels.x_arcsec), np.nan))
    return replace(
        choice,
        a=a,
        b=predicted_b(observation, a) if choice.b is not None else None,
        grade=4,
        skysub=True,
        fitted=False,
        object_visible=False,
        placed=frozenset(choice.letters),
    )


def choice_of(decision: Decision, observation: Observation) -> Choice:
    """The choice that led to a decision, as a start for another go; the grade is asked for again."""
    start = first_choice(observation)
    placement, picture = decision.placement, decision.picture
    scale = replace(start.scale, low=picture.low, high=picture.high, stretch=picture.stretch, how="by hand")
    return replace(
        start,
        a=placement.a,
        b=(placement.b or predicted_b(observation, placement.a)) if observation.pair else None,
        scale=scale if scale.high > scale.low else start.scale,
        skysub=placement.skysub,
        point_source=placement.point_source,
        fitted=placement.fit is not None,
        window=bounded(*picture.window, observation.field_cube.wavelength),
        colours=picture.colours or start.colours,
        placed=frozenset({"A", "B"} if observation.pair else {"A"}),
        grade=decision.quality,
        object_visible=decision.object_visible,
        partial=decision.partial,
    )


def accepted(choice: Choice, suggestion: Suggestion) -> Choice:
    """The apertures of a suggestion, and the pipeline's own spectrum; B, where none was found, keeps its place."""
    if suggestion.a is None:
        return choice
    b = choice.b
    if b is not None:
        b = suggestion.b or like(suggestion.a, b)
    taken = replace(choice, a=suggestion.a, b=b, placed=frozenset(choice.letters), object_visible=True)
    return replace(taken, fitted=fit_offered(taken, suggestion))


def started(choice: Choice, suggestion: Suggestion, *, reshaped: bool) -> Choice:
    """The start on the object that was found, as long as nothing is placed; its size, unless that was changed."""
    taken = accepted(choice, suggestion)
    if reshaped:
        b = None if taken.b is None or choice.b is None else like(choice.b, taken.b)
        taken = replace(taken, a=like(choice.a, taken.a), b=b)
    return replace(taken, placed=frozenset(), fitted=False)


def centred(observation: Observation, choice: Choice) -> Ellipse | None:
    """The active aperture, moved to the centre of the light in it; None when nothing stands out of the noise there.

    Flux-weighted mean over the spaxels inside, above the median of the field, repeated from each new place.
    """
    sign = -1.0 if choice.active == "B" and choice.b is not None else 1.0
    values = sign * picture_of(observation, choice.window)
    x, y = observation.field_cube.spaxels.x_arcsec, observation.field_cube.spaxels.y_arcsec
    known = np.isfinite(values)
    if not known.any():
        return None
    sky = float(np.median(values[known]))
    noise = float(1.4826 * np.median(np.abs(values[known] - sky)))
    aperture = choice.aperture
    for _ in range(10):
        inside = known & (aperture.radius2(x - aperture.x_arcsec, y - aperture.y_arcsec) < 1)
        light = np.where(inside, values - sky, 0.0)
        # the middle of mere noise is no object
        if light.sum() <= 5 * noise * np.sqrt(max(inside.sum(), 1)):
            return None
        light = np.maximum(light, 0.0)
        aperture = placed(aperture, float(np.sum(light * x) / light.sum()), float(np.sum(light * y) / light.sum()))
    return aperture


def to_draft(choice: Choice, stage: Stage) -> dict[str, Any]:
    """A choice as plain values, for the file that keeps what is not saved yet."""
    from dataclasses import asdict

    return asdict(choice) | {"placed": sorted(choice.placed), "stage": str(stage)}


def from_draft(draft: Mapping[str, Any]) -> tuple[Choice, Stage]:
    """The choice of `to_draft`.

    Raises
    ------
    ValueError, TypeError, KeyError
        The draft is of another version, or damaged.
    """
    values = dict(draft)
    stage = Stage(values.pop("stage"))
    b = values["b"]
    choice = Choice(
        **values
        | {
            "a": Ellipse(**values["a"]),
            "b": None if b is None else Ellipse(**b),
            "scale": ColourScale(**values["scale"]),
            "placed": frozenset(values["placed"]),
            "window": tuple(values["window"]),
        }
    )
    if choice.grade is not None and choice.grade not in QUALITIES:
        raise ValueError(f"grade {choice.grade!r} is none of 1 to 5")
    return choice, stage


def _neighbour_median(observation: Observation, values: FloatArray) -> FloatArray:
    """Median of each spaxel and its six neighbours: a single hot spaxel is not a star."""
    spaxels = observation.field_cube.spaxels
    q, r = spaxels.q - spaxels.q.min() + 1, spaxels.r - spaxels.r.min() + 1
    grid = np.full((int(q.max()) + 2, int(r.max()) + 2), np.nan)
    grid[q, r] = values
    steps = ((0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))
    stack = np.stack([grid[q + dq, r + dr] for dq, dr in steps])
    enough = np.isfinite(stack).sum(axis=0) >= 5
    median = np.full(len(values), np.nan)
    median[enough] = np.nanmedian(stack[:, enough], axis=0)
    return median
