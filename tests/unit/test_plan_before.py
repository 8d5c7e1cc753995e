"""Which exposure was read out before one on the sky, and that the cube's job knows it by its name alone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sedmd.plan.before import REMEMBERED_S, exposure_before
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Kind

from .test_planner import WHOLE, context

SKY = sorted((frame for frame in WHOLE if frame.kind.on_sky), key=lambda frame: frame.start)


def before(frame, *others):
    return [(one.path, one.checksum) for one in exposure_before(frame, [frame, *others]).get("before", [])]


def at(frame, seconds, **changes):
    """A frame of ten minutes that ends so many seconds before another begins."""
    start = frame.start - timedelta(seconds=600.0 + seconds)
    return replace(
        frame, **({"start": start, "exptime_s": 600.0, "path": Path("/raw/other.fits"), "stem": "other"} | changes)
    )


def test_the_last_frame_with_light_that_ended_within_half_an_hour_is_the_one_before():
    frame = SKY[-1]
    assert before(frame) == []
    assert before(frame, at(frame, 60.0)) == [(Path("/raw/other.fits"), "other")]
    assert before(frame, at(frame, REMEMBERED_S)) and not before(frame, at(frame, REMEMBERED_S + 1))
    assert not before(frame, at(frame, -700.0))  # it began later
    nearer = at(frame, 30.0, path=Path("/raw/nearer.fits"), stem="nearer")
    assert before(frame, nearer, at(frame, 60.0)) == [(Path("/raw/nearer.fits"), "nearer")]
    dark = at(frame, 10.0, kind=Kind.BIAS, stem="dark")
    assert before(frame, dark, nearer)[0][1] == "nearer"
    assert before(frame, at(frame, 10.0, kind=Kind.DOME))  # a lamp is as bright as a star
    assert not before(frame, at(frame, 10.0, exptime_s=None))


def cubes(frames):
    return {node.job.label: node for node in plan_night(frames, context(final=True)).nodes if node.job.step == "cube"}


def test_the_job_of_a_cube_has_the_exposure_before_and_is_the_same_when_that_is_completed_or_gzipped():
    made = cubes(WHOLE)
    given = {label: [path.name for path in node.job.inputs.get("before", ())] for label, node in made.items()}
    whole = {frame.stem: frame for frame in WHOLE}
    assert any(given.values())
    for label, names in given.items():
        own = whole[label.split()[0]]
        for name in names:
            other = whole[name.removesuffix(".fits")]
            assert other.start < own.start
            assert not [frame for frame in SKY if other.start < frame.start < own.start]
    label = next(label for label, names in given.items() if names)
    stem = given[label][0].removesuffix(".fits")
    completed = [
        replace(frame, checksum="else", path=frame.path.with_name(f"{frame.stem}.fits.gz"))
        if frame.stem == stem
        else frame
        for frame in WHOLE
    ]
    assert cubes(completed)[label].key == made[label].key
    assert cubes([frame for frame in WHOLE if frame.stem != stem])[label].key != made[label].key
