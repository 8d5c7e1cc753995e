"""The state of a night: other programs read its JSON, people its text."""

import json
from datetime import UTC, datetime

from tell_samples import job, observed, state

from sedmd.ledger.records import Request
from sedmd.observation.noted_decisions import Decided
from sedmd.plan.plan import State
from sedmd.reduce.target.place import Place
from sedmd.run.states import (
    Contradiction,
    EarlierNight,
    ExtractionFigures,
    Held,
    RejectedFrame,
    TargetState,
    UnusedSeries,
)
from sedmd.run.status_json import to_json
from sedmd.run.status_text import render
from sedmd.run.unattended import rows_of, table

JOB = {"step", "label", "state", "reason", "products", "frames", "ended", "seconds", "figures"}
TARGET = {
    "name",
    "target",
    "standard",
    "star",
    "note",
    "state",
    "reason",
    "pair",
    "half_of_pair",
    "frames",
    "exptime_s",
}
TARGET |= {"airmass", "calibrations", "figures", "decision"}
#: Keys of each part of `sedmd status --json`; None where it is no table.
KEYS = {
    **dict.fromkeys(("night", "now", "sunset", "sunrise", "closed", "idle", "last_frame", "departed", "place")),
    **dict.fromkeys(("offers", "sets", "missing", "lacking")),
    **dict.fromkeys(("calibrations", "running", "due", "waiting", "failed"), JOB),
    "fallback": {"night", "age_nights"},
    "flux_fallback": {"night", "age_nights"},
    "service": {"running", "pid"},
    "frames": {"science", "bias"},
    "targets": TARGET,
    "held": {"subject", "reason"},
    "requests": {"number", "time", "verb", "night", "subject", "who", "cards"},
    "quarantined_frames": {"frame", "state", "reason"},
    "unused": {"kind", "frames", "reason"},
    "contradictions": {"frame", "reason"},
    "disk": {"redux_root"},
}
FIGURES = {"x [arcsec]": 1.25, "y [arcsec]": -0.5, "FWHM [arcsec]": 1.9, "S/N": 12.0, "confidence": 0.99, "quality": 2}
DECIDED = Decided(product="b", saved_as="b", quality=1, reducer="ann", time="2019-06-12T13:00:00", sha256="0")


def target(name, **changes):
    values = {"target": name, "step": "calibrate", "state": State.DONE, "calibrated": True, "exptime_s": 900.0}
    return TargetState(name=name, **(values | changes))


def everything():
    """A night in which nothing is empty."""
    return state(
        target("ZTF19a", figures=ExtractionFigures.of(FIGURES | {"doubts": "it is faint"}), airmass=1.2),
        target("b", decision=DECIDED),
        frames={"science": 2, "bias": 10},
        process=17,
        running=(job("extract", "c", State.RUNNING),),
        due=(job("page", "c", State.DUE),),
        waiting=(job("page", "d", State.WAITING, "cube x"),),
        failed=(job("cube", "d", State.FAILED, "no light", frames=1),),
        fallback=EarlierNight(night="20190610", age_nights=2),
        flux_fallback=EarlierNight(night="20190611", age_nights=1),
        offers=("ZTF19a",),
        geometry_change="the traces moved by 9 px",
        place=Place(x_arcsec=1.0, y_arcsec=-2.0, spread_arcsec=0.5, source="settings"),
        held=(Held(subject="d", reason="held by ann"),),
        requests=(Request(number=1, time="t", verb="redo", night="", subject="b", who="ann"),),
        rejected_frames=(RejectedFrame(frame="ifu1.fits", state="quarantined", reason="it is cut"),),
        unused=(UnusedSeries(kind="Xe", frames=("ifu2", "ifu4"), reason="too few"),),
        sets=("dome ifu2 to ifu9",),
        contradictions=(Contradiction(frame="ifu3.fits", reason="its names differ"),),
        missing=("Cd: no frames",),
        lacking=("Cd: no frames",),
        disk={"redux_root": 2_000_000_000},
    )


def test_the_keys_of_the_json_are_those_that_other_programs_know():
    told = json.loads(json.dumps(to_json(everything())))
    assert list(told) == [
        *("night", "now", "sunset", "sunrise", "closed", "idle", "service", "frames", "last_frame", "calibrations"),
        *("fallback", "flux_fallback", "offers", "departed", "place", "targets", "running", "due", "waiting", "failed"),
        *("held", "requests", "quarantined_frames", "unused", "sets", "contradictions", "missing", "lacking", "disk"),
    ]
    for name, keys in KEYS.items():
        parts = told[name] if isinstance(told[name], list) else [told[name]]
        assert parts, name
        assert all((set(part) if isinstance(part, dict) else None) == keys for part in parts), name
    assert told["service"] == {"running": True, "pid": 17}
    assert told["unused"][0]["frames"] == "ifu2 to ifu4" and told["fallback"] == {"night": "20190610", "age_nights": 2}
    assert told["targets"][0]["figures"] == FIGURES | {"doubts": "it is faint"}
    assert told["targets"][1]["decision"]["reducer"] == "ann" and told["targets"][0]["decision"] is None
    assert told["place"].startswith("expected target position (+1.0, -2.0) arcsec")
    assert told["now"] == "2019-06-12T20:00:00+00:00"


def test_a_quiet_night_has_the_same_keys():
    told = to_json(state())
    assert set(told) == set(KEYS)
    assert (told["service"], told["fallback"], told["place"]) == ({"running": False, "pid": None}, None, "")


def test_the_text_has_everything_that_needs_somebody():
    text = render(everything())
    for line in (
        "night 20190612 (closed); service running (process 17)",
        "calibrations: using those from 20190610 (2 nights old), flux calibration from 20190611 (1 night old)",
        "  ZTF19a                              900 s   1.20  spectrum           "
        "S/N 12.0, 2 acceptable, confidence 99 %, it is faint",
        "  b                                   900 s      -  spectrum           1 good, ann: b",
        "geometry change\n  the traces moved by 9 px",
        "held\n  d: held by ann",
        "missing\n  Cd: no frames",
        "not used\n  ifu1.fits quarantined: it is cut\n  Xe, ifu2 to ifu4: too few",
    ):
        assert line in text
    quiet = render(state(now=datetime(2019, 6, 12, 13, 0, 40, tzinfo=UTC)))
    assert quiet.endswith("\ntargets") and "last frame 61 min ago" in quiet


def test_what_is_final_without_an_observer():
    night = state(
        target("a", figures=ExtractionFigures.of(FIGURES)),
        observed("b", "extract awaiting observer", "two objects"),
        observed("c", "cube failed", "no light"),
        target("STD-x", standard=True, star="x"),
        target("d", decision=DECIDED),
    )
    rows = rows_of(night)
    assert [(row.product, row.outcome, row.quality, row.failed) for row in rows] == [
        ("a", "final", 2, False),
        ("b", "awaiting observer", 0, False),
        ("c", "cube failed", 0, True),
        ("STD-x", "standard star", 0, False),
        ("d", "graded by ann", 1, False),
    ]
    assert table(rows).endswith("\n\n1 of 4 targets are final without an observer")
    assert [row.product for row in rows_of(night, ["b"])] == ["b"]


def test_a_provisional_spectrum_awaits_the_observer_until_he_has_decided():
    found = {
        "calibrated": True,
        "provisional": "confidence 0.40: two objects",
        "reason": "confidence 0.40: two objects",
    }
    night = state(target("a", **found), target("d", **found, decision=DECIDED))
    assert [one.awaits_observer for one in night.targets] == [True, False]
    assert [(row.outcome, row.quality, row.why) for row in rows_of(night)] == [
        ("awaiting observer", 0, "confidence 0.40: two objects"),
        ("graded by ann", 1, "confidence 0.40: two objects"),
    ]
    assert "provisional" in render(night) and "0 of 2 targets" in table(rows_of(night))


def test_targets_are_grouped_as_the_survey_names_them():
    groups = {one.name: one.group for one in (target("ztf19a"), target("SN2019x"), target("ZTF", standard=True))}
    assert groups == {"ztf19a": "science", "SN2019x": "other", "ZTF": "standard"}
