"""Where targets land, from the ledger: earlier nights only, standard stars and clear targets, since the last change."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.core.config import AutomaticExtraction, Instrument, Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.ledger.ledger import Ledger
from sedmd.products.target_positions import EXPECTED, position_figures
from sedmd.reduce.target.place import Place
from sedmd.run.context import ACCEPTED, REFUSED, night_context
from sedmd.run.target_positions import field_positions_of, place_begun_with

NOW = datetime(2021, 10, 20, 12, tzinfo=UTC)
NIGHT = "20211018"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def settings(**changes):
    return Settings(paths=Paths(raw_root=Path("/raw"), redux_root=Path("/redux")), **changes)


def did(ledger, night, step, label, figures):
    path = Path(f"/redux/{night}/{step}_{label}.fits")
    job = Job(step=step, night=night, label=label, inputs={}, outputs={"out": path})
    product = Product(role="out", path=path, sha256="ab", size=3, mtime_ns=5)
    key = f"{step} {night} {label}"
    ledger.jobs.start(key, job)
    ledger.jobs.finish(key, job, Outcome(state="done", figures=figures, products=(product,), seconds=1.0), state="done")
    return path


def found(x, y, hour, *, standard=False, pair=False, quality=1):
    told = {"x [arcsec]": x, "y [arcsec]": y, "quality": 0 if standard else quality}
    return told | position_figures(f"ifu{hour:02d}", standard=standard, pair=pair)


def expected(ledger, night=NIGHT, pin=True, **changes):
    given = settings(**changes)
    context = night_context(given, ledger, night, [], now=NOW, final=False, versions={}, pin_fallbacks=pin)
    return Place.of(context.options["cube"]["place"])


def three(ledger, night, x=1.0):
    for hour in (3, 4, 5):
        did(ledger, night, "extract", f"STD_{hour}", found(x, 3.0, hour, standard=True))


def test_nothing_is_known_at_first(ledger):
    assert not expected(ledger).known


def test_standards_and_clear_targets_teach_in_the_order_of_their_exposures(ledger):
    did(ledger, "20211017", "extract", "a", found(1.4, 3.2, 7))
    did(ledger, "20211017", "extract", "b", found(0.8, 2.8, 4, standard=True))
    did(ledger, "20211017", "extract", "pair", found(7.0, -3.0, 5, pair=True))
    did(ledger, "20211017", "extract", "doubtful", found(-5.0, 3.0, 6, quality=2))
    did(ledger, "20211017", "extract", "old", {"x [arcsec]": 9.0, "y [arcsec]": 9.0})
    assert [one.x_arcsec for one in field_positions_of(ledger, "20211017")] == [0.8, 1.4]
    place = expected(ledger)
    assert place.source == "2 exposures since 20211017"
    assert (place.x_arcsec, place.y_arcsec) == pytest.approx((1.1, 3.0))


def test_neither_this_night_nor_a_later_one_nor_one_long_ago_teaches(ledger):
    for night in (NIGHT, "20211019", "20210301"):
        three(ledger, night)
    assert not expected(ledger).known


def test_a_night_whose_geometry_is_refused_teaches_nothing(ledger):
    three(ledger, "20211016", x=1.0)
    three(ledger, "20211017", x=1.5)
    ledger.marks.put(REFUSED, "20211017", "", "departs")
    assert expected(ledger).x_arcsec == pytest.approx(1.0)


def test_what_was_learned_before_another_geometry_was_accepted_is_forgotten(ledger):
    three(ledger, "20211016", x=1.0)
    three(ledger, "20211017", x=1.5)
    ledger.marks.put(ACCEPTED, "20211017", "", "remounted")
    assert expected(ledger).x_arcsec == pytest.approx(1.5)
    ledger.marks.put(ACCEPTED, NIGHT, "", "remounted")
    assert not expected(ledger).known


def test_a_night_goes_on_with_the_place_that_it_was_begun_with(ledger):
    three(ledger, "20211016", x=1.0)
    begun = expected(ledger)
    did(ledger, NIGHT, "cube", "ifu20211018_03_00_00", {EXPECTED: str(begun)})
    three(ledger, "20211017", x=2.5)
    assert expected(ledger) == begun == place_begun_with(ledger, NIGHT)
    # who reduces a night anew wants the best that there is by now
    assert expected(ledger, pin=False).x_arcsec > begun.x_arcsec


def test_who_knows_better_says_it_in_the_settings(ledger):
    three(ledger, "20211017")
    given = Instrument(field_centres=("20211001 1031.5 1019",))
    place = expected(ledger, instrument=given)
    assert (place.x_arcsec, place.y_arcsec, place.source) == (0.0, 0.0, "settings")
    known = expected(ledger, instrument=given, extraction=AutomaticExtraction(pointing_arcsec=0.7))
    assert known.spread_arcsec == 0.7
    # before its night, and once it no longer holds, positions count from another middle
    assert expected(ledger, "20210930", instrument=given).source == ""


def test_nights_count_in_their_order_so_that_the_last_jump_is_known(ledger):
    three(ledger, "20211015", x=1.0)
    three(ledger, "20211016", x=6.0)
    place = expected(ledger)
    assert (place.x_arcsec, place.source) == (6.0, "3 exposures since 20211016")
