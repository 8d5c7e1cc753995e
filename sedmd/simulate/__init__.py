"""A physically honest raw night of the SED Machine, with its truth: optics, sky, detector, observing log.

The reduction must never import this package, and this package imports nothing of the reduction: each has its own
tables, its own refraction and its own geometry.
"""

from sedmd.simulate.expose import Rendered, efficiency, render_exposure, render_frame
from sedmd.simulate.headers import to_hdu
from sedmd.simulate.night import simulate_night
from sedmd.simulate.observe import plan_night
from sedmd.simulate.plan import NightPlan, PlannedExposure, SimulatedInstrument, build_instrument, exposure_of
from sedmd.simulate.profiles import PROFILES, InstrumentProfile, load_profile
from sedmd.simulate.sources import Pointing, PointSpread, SimulatedSource

__all__ = [
    "PROFILES",
    "InstrumentProfile",
    "NightPlan",
    "PlannedExposure",
    "PointSpread",
    "Pointing",
    "Rendered",
    "SimulatedInstrument",
    "SimulatedSource",
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
