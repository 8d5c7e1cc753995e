"""Which frames of the rainbow camera belong to an exposure, what is planned, what earlier nights teach."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sedmd.core.config import Guide, Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.records import Record
from sedmd.plan.guiding import MOST_GUIDERS, frames_for, time_of
from sedmd.plan.plan import State
from sedmd.plan.planner import plan_night
from sedmd.products.star_table import STAR, add_stars
from sedmd.products.target_positions import field_position_of, guider_pair_of, position_figures
from sedmd.reduce.target.place import Place
from sedmd.run.context import ACCEPTED, REFUSED, night_context
from sedmd.run.rc_frames import rc_frames_of, star_input

from .test_night import make
from .test_planner import WHOLE, context

NOW = datetime(2019, 6, 12, 12, tzinfo=UTC)
NIGHT = "20190612"


def names(frame, *seconds):
    return {f"rc{frame.start + timedelta(seconds=s):%Y%m%d_%H_%M_%S}": Path(f"/raw/{s}.fits") for s in seconds}


def test_frames_during_the_exposure_and_the_last_before_it():
    frame = replace(make(60, "y"), exptime_s=1200.0)
    rc = names(frame, -2000, -500, -90, -80, 5, 45, 1100, 1300)
    assert list(frames_for(frame, rc).values()) == [Path(f"/raw/{s}.fits") for s in (-90, -80, 5, 45, 1100)]
    many = names(frame, *range(5, 1200, 40))
    chosen = [int(path.stem) for path in frames_for(frame, many).values()]
    assert len(chosen) == MOST_GUIDERS and (chosen[0], chosen[-1]) == (5, 1165)
    assert (
        frames_for(frame, {}) == {} == frames_for(frame, {"rc_other": Path("/x"), "ifu20190612_05_00_00": Path("/y")})
    )
    assert time_of("rc20190612_05_01_02") == datetime(2019, 6, 12, 5, 1, 2, tzinfo=UTC)
    assert time_of("rc20190612_05_61_02") is None


def extracts(plan):
    return {node.job.label: node for node in plan.nodes if node.job.step == "extract"}


def test_without_such_frames_the_plan_is_that_of_before():
    plain = plan_night(WHOLE, context())
    assert all(node.job.step != "guide" for node in plain.nodes)
    told = context(
        stars=(Path("/stars/stars.json"), "ab"), options={"guide": {"use": ["seeing"], "link": LINK, "sky": ""}}
    )
    assert [node.key for node in plan_night(WHOLE, told).nodes] == [node.key for node in plain.nodes]


LINK = "+0.70 -1.20 +-0.35, 12 exposures since 20190602"


def guide_roles(node):
    return {role: paths[0].name for role, paths in node.job.inputs.items() if role.startswith("guide")}


def test_each_exposure_has_its_guider_frames_also_those_of_a_pair():
    rc = {stem: path for frame in WHOLE if frame.kind.on_sky for stem, path in names(frame, 5, 45).items()}
    plan = plan_night(WHOLE, context(rc_frames=rc))
    guides = {node.job.label: node for node in plan.nodes if node.job.step == "guide"}
    assert set(guides) == {f"{one.stem} {one.name}" for one in WHOLE if one.kind.on_sky}
    y, a, b = (next(f for f in WHOLE if f.name == name and f.nod == nod) for name, nod in [("y", ""), *X_PAIR])
    node = guides[f"{y.stem} y"]
    assert node.state is State.DUE and node.job.outputs["guide"].name == f"guide_{y.stem}.fits"
    made = extracts(plan)
    assert guide_roles(made["y_obs1"]) == {"guide": f"guide_{y.stem}.fits"}
    assert guide_roles(made["x"]) == {"guide_a": f"guide_{a.stem}.fits", "guide_b": f"guide_{b.stem}.fits"}


X_PAIR = [("x", "A"), ("x", "B")]


def test_of_a_pair_one_exposure_may_have_guider_frames_and_nobody_elses_reach_it():
    y, b = (next(f for f in WHOLE if f.name == name and f.nod == nod) for name, nod in [("y", ""), ("x", "B")])
    before = extracts(plan_night(WHOLE, context()))
    of_y = extracts(plan_night(WHOLE, context(rc_frames=names(y, 5))))
    assert before["x"].key == of_y["x"].key and before["y_obs1"].key != of_y["y_obs1"].key
    of_b = extracts(plan_night(WHOLE, context(rc_frames=names(b, 5))))
    assert guide_roles(of_b["x"]) == {"guide_b": f"guide_{b.stem}.fits"} and of_b["y_obs1"].key == before["y_obs1"].key


def test_one_exposure_of_a_pair_alone_keeps_its_guider_frames():
    a, b = (next(f for f in WHOLE if f.name == name and f.nod == nod) for name, nod in X_PAIR)
    without = [frame for frame in WHOLE if frame is not b]
    plan = plan_night(without, context(rc_frames=names(a, 5) | names(b, 5), final=True))
    alone = next(node for node in extracts(plan).values() if node.job.options["half_of_pair"] == "A")
    assert guide_roles(alone) == {"guide": f"guide_{a.stem}.fits"}


def test_frames_of_which_nothing_is_used_change_no_spectrum():
    rc = {stem: path for frame in WHOLE if frame.kind.on_sky for stem, path in names(frame, 5, 45).items()}

    def others(plan):
        return {(node.job.step, node.job.label): node.key for node in plan.nodes if node.job.step != "guide"}

    plain = plan_night(WHOLE, context())
    unused = plan_night(WHOLE, context(rc_frames=rc, options={"guide": {"use": [], "link": LINK, "sky": ""}}))
    some = plan_night(WHOLE, context(rc_frames=rc, options={"guide": {"use": ["seeing"], "link": LINK, "sky": ""}}))
    assert others(unused) == others(plain) != others(some)
    assert sum(node.job.step == "guide" for node in unused.nodes) == sum(frame.kind.on_sky for frame in WHOLE)


def test_keys_depend_on_names_of_frames_and_not_on_where_they_lie():
    y = next(frame for frame in WHOLE if frame.name == "y")
    one, more = names(y, 5, 45), names(y, 5, 45, 85)
    moved = {stem: Path("/elsewhere") / f"{stem}.fits.gz" for stem in one}

    def key(rc, **changes):
        plan = plan_night(WHOLE, context(rc_frames=rc, **changes))
        return next(node.key for node in plan.nodes if node.job.step == "guide")

    assert key(one) == key(moved) != key(more)
    assert len({key(one), key(one, stars=(Path("/s"), "1")), key(one, stars=(Path("/s"), "2"))}) == 3


@pytest.mark.parametrize("state", ["failed", "quarantined"])
def test_guider_frames_that_came_to_nothing_are_done_without(state):
    y = next(frame for frame in WHOLE if frame.name == "y")
    rc = names(y, 5)
    plan = plan_night(WHOLE, context(rc_frames=rc))
    (node,) = (node for node in plan.nodes if node.job.step == "guide")
    again = plan_night(WHOLE, context(rc_frames=rc, records={node.key: Record(state=state, reason="x")}))
    plain = plan_night(WHOLE, context())
    assert extracts(again)["y_obs1"].key == extracts(plain)["y_obs1"].key


# what the ledger knows


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def settings(root=Path("/raw"), **guide):
    return Settings(paths=Paths(raw_root=root, redux_root=Path("/redux")), guide=Guide(**guide))


def did(ledger, night, step, label, figures, inputs=()):
    path = Path(f"/redux/{night}/{step}_{label}.fits")
    job = Job(step=step, night=night, label=label, inputs={}, outputs={"out": path})
    product = Product(role="out", path=path, sha256="ab", size=3, mtime_ns=5)
    key = f"{step} {night} {label}"
    ledger.jobs.start(key, job, inputs=inputs)
    done = Outcome(state="done", figures=figures, products=(product,), seconds=1.0)
    ledger.jobs.finish(key, job, done, state="done")


def seen(x, y, guider, *, standard=False, quality=1):
    told = {"x [arcsec]": x, "y [arcsec]": y, "quality": 0 if standard else quality}
    return told | position_figures("ifu1", standard=standard, pair=False, guider=guider)


def guide_options(ledger, night=NIGHT, pin=True):
    made = night_context(settings(), ledger, night, [], now=NOW, final=False, versions={}, pin_fallbacks=pin)
    return made.options["guide"]


def test_a_pair_of_positions_is_their_difference():
    figures = seen(3.0, -1.0, (2.5, -4.0))
    pair = guider_pair_of(figures, NIGHT)
    assert (pair.x_arcsec, pair.y_arcsec) == pytest.approx((0.5, 3.0))
    assert field_position_of(figures, NIGHT).x_arcsec == 3.0
    assert guider_pair_of(seen(3.0, -1.0, None), NIGHT) is None
    assert guider_pair_of(seen(3.0, -1.0, (2.5, -4.0), quality=2), NIGHT) is None


def teach(ledger, night, pairs, sky="0.3941 +0.50", stars=30):
    did(ledger, night, "guide", "g", {"sky": sky, "stars": stars})
    for number, (x, y) in enumerate(pairs):
        # the target lands anywhere; where the guider saw it goes along
        did(ledger, night, "extract", f"e{number}", seen(x + number, y - 2 * number, (float(number), -2.0 * number)))


def test_three_pairs_teach_the_link_and_two_do_not(ledger):
    teach(ledger, "20190610", [(0.6, -1.1), (0.8, -1.3)])
    assert guide_options(ledger)["link"] == "" and guide_options(ledger)["sky"] == "0.3941 +0.50"
    teach(ledger, "20190611", [(0.7, -1.2)])
    link = Place.of(guide_options(ledger)["link"])
    assert (link.x_arcsec, link.y_arcsec) == pytest.approx((0.7, -1.2), abs=0.011)
    assert link.count == 3 and 0.3 <= link.spread_arcsec < 0.7
    # not the night's own, nor later ones
    assert guide_options(ledger, "20190611")["link"] == ""


def test_after_a_jump_what_was_before_is_forgotten(ledger):
    teach(ledger, "20190608", [(5.0, 4.0)] * 6)
    teach(ledger, "20190610", [(0.7, -1.2)] * 4)
    link = Place.of(guide_options(ledger)["link"])
    assert (link.x_arcsec, link.count) == (0.7, 4)


def test_a_refused_night_does_not_teach_and_an_accepted_change_begins_again(ledger):
    teach(ledger, "20190610", [(0.7, -1.2)] * 4)
    ledger.marks.put(REFUSED, "20190610", "geometry", "moved")
    assert guide_options(ledger) == {"use": ["position", "seeing", "transparency"], "link": "", "sky": ""}
    teach(ledger, "20190611", [(0.2, 0.1)] * 3)
    ledger.marks.put(ACCEPTED, "20190611", "geometry", "new")
    assert Place.of(guide_options(ledger)["link"]).x_arcsec == pytest.approx(0.2)
    ledger.marks.put(ACCEPTED, NIGHT, "geometry", "new")
    assert guide_options(ledger)["link"] == ""


def test_a_night_keeps_what_it_was_begun_with(ledger):
    did(ledger, NIGHT, "guide", "first", {"given link": LINK, "sky": "0.39 +0.1"})
    teach(ledger, "20190611", [(3.0, 3.0)] * 5)
    assert guide_options(ledger)["link"] == LINK
    assert Place.of(guide_options(ledger, pin=False)["link"]).x_arcsec == pytest.approx(3.0)


def test_frames_on_disk_and_those_that_were_used_and_are_gone(ledger, tmp_path):
    folder = tmp_path / "raw" / NIGHT
    folder.mkdir(parents=True)
    for name in ("rc20190612_05_00_01.fits", "rc20190612_05_01_01.fits.gz", ".rc20190612_05_02_01.fits", "ifu1.fits"):
        (folder / name).touch()
    (folder / "rc20190612_05_03_01.fits.part").touch()
    did(ledger, NIGHT, "guide", "x", {}, inputs=(("rc", "rc20190612_04_00_01"), ("raw", "ab")))
    given = settings(tmp_path / "raw")
    found = rc_frames_of(given, ledger, NIGHT, now=NOW)
    assert set(found) == {"rc20190612_05_00_01", "rc20190612_05_01_01", "rc20190612_04_00_01"}
    assert found["rc20190612_05_01_01"].name.endswith(".gz")
    # one that is being written waits
    near = datetime.fromtimestamp((folder / "rc20190612_05_00_01.fits").stat().st_mtime, UTC) + timedelta(seconds=1)
    fresh = folder / f"rc{near:%Y%m%d_%H_%M_%S}.fits"
    fresh.touch()
    assert fresh.stem not in rc_frames_of(given, ledger, NIGHT, now=near)
    assert fresh.stem in rc_frames_of(given, ledger, NIGHT, now=near + timedelta(minutes=1))
    assert rc_frames_of(settings(tmp_path / "raw", pattern=""), ledger, NIGHT, now=NOW) == {}


def test_a_star_table_that_is_away_is_still_that_of_the_night(ledger, tmp_path):
    assert star_input(settings(), ledger, NIGHT) is None
    import numpy as np

    table, _ = add_stars(tmp_path / "stars", [np.ones(1, STAR)])
    given = settings(stars=tmp_path / "stars")
    assert star_input(given, ledger, NIGHT) == (tmp_path / "stars" / "stars.json", table.ident)
    away = settings(stars=tmp_path / "away")
    assert star_input(away, ledger, NIGHT) is None
    did(ledger, NIGHT, "guide", "x", {}, inputs=(("stars", table.ident),))
    assert star_input(away, ledger, NIGHT)[1] == table.ident
