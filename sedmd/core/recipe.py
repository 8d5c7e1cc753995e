"""The night's recipe, as data: each step, what it needs, what it makes. Reads like the Makefile it replaces.

A role with ``?`` may be absent. ``{...}`` in a product's name is filled by the planner: the read-out speed, the lamp,
the raw frame's stem, the target's safe name, the observation's product name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule of the recipe.

    Attributes
    ----------
    name : str
        Key of the steps module's table of functions.
    per : str
        What it is done once for: "speed", "lamp", "night", "exposure", "observation".
    needs : tuple of str
        Input roles.
    makes : mapping of role to name template
    urgency : int
        Smaller runs first when workers are scarce: calibrations, then standards, then targets in time order; pictures
        when nothing else is due.
    shows : bool
        Its products are pictures of its inputs: they are removed when those are remade or lost.
    frames : tuple of str
        Roles of whole frames that no other step needs: made for people, unless a setting says otherwise.
    """

    name: str
    per: str
    needs: tuple[str, ...]
    makes: Mapping[str, str]
    urgency: int
    shows: bool = False
    frames: tuple[str, ...] = ()


RECIPE: Mapping[str, Step] = {
    step.name: step
    for step in (
        Step(name="bias", per="speed", needs=("raw",), makes={"bias": "bias{speed:.1f}.fits"}, urgency=0),
        Step(name="lamp", per="lamp", needs=("raw", "bias"), makes={"lamp": "{lamp}.fits"}, urgency=1),
        Step(
            name="traces", per="night", needs=("dome", "Hg?", "Cd?", "Xe?"), makes={"traces": "traces.fits"}, urgency=2
        ),
        Step(
            name="wavelength",
            per="night",
            needs=("traces", "Hg?", "Cd?", "Xe?"),
            makes={"wavelength": "wavelength.fits"},
            urgency=2,
        ),
        Step(name="flat", per="night", needs=("dome", "traces", "wavelength"), makes={"flat": "flat.fits"}, urgency=2),
        Step(
            name="cube",
            per="exposure",
            needs=("raw", "before?", "bias", "traces", "wavelength", "flat"),
            makes={"crr": "crr_b_{stem}.fits", "bs": "bs_crr_b_{stem}.fits", "e3d": "e3d_crr_b_{stem}_{target}.fits"},
            urgency=5,
            frames=("crr", "bs"),
        ),
        Step(
            name="guide",
            per="exposure",
            needs=("raw", "rc", "stars?"),
            makes={"guide": "guide_{stem}.fits"},
            urgency=3,
        ),
        Step(
            name="extract",
            per="observation",
            needs=("cube?", "cube_a?", "cube_b?", "star?", "guide?", "guide_a?", "guide_b?"),
            makes={"ext": "ext_{product}.fits"},
            urgency=4,
        ),
        Step(
            name="skyflat",
            per="night",
            needs=("traces", "flat", "cubes"),
            makes={"skyflat": "sky-flat.fits"},
            urgency=8,
        ),
        Step(name="fluxcal", per="night", needs=("standards",), makes={"fluxcal": "std-correction.fits"}, urgency=3),
        Step(
            name="calibrate",
            per="observation",
            needs=("ext", "fluxcal?"),
            makes={"sp": "sp_{product}.fits", "ascii": "{product}_SEDM.txt"},
            urgency=4,
        ),
        Step(
            name="page",
            per="observation",
            needs=("sp",),
            makes={"pdf": "{product}_SEDM.pdf"},
            urgency=9,
            shows=True,
        ),
    )
}
