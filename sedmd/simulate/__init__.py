"""A physically honest raw night of the SED Machine, with its truth: optics, sky, detector, observing log.

The reduction must never import this package, and this package imports nothing of the reduction: each has its own
tables, its own refraction and its own geometry.
"""

from .expose import Rendered, efficiency, render_exposure, render_frame
from .headers import to_hdu
from .night import simulate_night
from .observe import plan_night
from .plan import Exposure, Instrument, NightPlan, build_instrument, exposure_of
from .profiles import PROFILES, Profile, load_profile
from .sources import Pointing, Seeing, Source

__all__ = [
    "PROFILES",
    "Exposure",
    "Instrument",
    "NightPlan",
    "Pointing",
    "Profile",
    "Rendered",
    "Seeing",
    "Source",
    "build_instrument",
    "efficiency",
    "exposure_of",
    "load_profile",
    "plan_night",
    "render_exposure",
    "render_frame",
    "simulate_night",
    "to_hdu",
]
