"""Which earlier nights tell a night the shape of the response, and with which it stays: from the ledger to the key."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.core.config import Calibrations, Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.core.memory_figures import GIVEN_SHAPES, OWN_SHAPE
from sedmd.ledger.journal import Journal
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.rebuild import take_up
from sedmd.ledger.records import Record
from sedmd.plan.planner import plan_night
from sedmd.reduce.flux.shapes import shapes_in
from sedmd.run.context import ACCEPTED, REFUSED, night_context
from sedmd.run.event_log import EventLog, figures

from .test_planner import WHOLE, context

NOW = datetime(2021, 10, 20, 12, tzinfo=UTC)
NIGHT = "20211018"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def shape(night, *, again=""):
    """A shape by which the night is known."""
    return f"4000.0:{int(night) % 10000 / 1e4:.4f}:0.0100 5000.0:0.0000:0.01{again or '00'}"


def did(ledger, night, *, own=None, given=None, folder=Path("/redux"), key=""):
    path = folder / night / "std-correction.fits"
    job = Job(step="fluxcal", night=night, label="1 standards", inputs={}, outputs={"fluxcal": path})
    told = {OWN_SHAPE: shape(night) if own is None else own} | ({} if given is None else {GIVEN_SHAPES: given})
    size, sha256 = (path.stat().st_size, "ab") if path.exists() else (3, "ab")
    product = Product(role="fluxcal", path=path, sha256=sha256, size=size, mtime_ns=5)
    key = key or f"fluxcal {night} {own}"
    ledger.jobs.start(key, job)
    ledger.jobs.finish(key, job, Outcome(state="done", figures=told, products=(product,), seconds=1.0), state="done")


def options(ledger, night=NIGHT, pin=True, **rules):
    settings = Settings(
        paths=Paths(raw_root=Path("/raw"), redux_root=Path("/redux")), calibrations=Calibrations(**rules)
    )
    made = night_context(settings, ledger, night, [], now=NOW, final=False, versions={}, pin_fallbacks=pin)
    return made.options["fluxcal"]


def nights(ledger, night=NIGHT, **more):
    return [(one.night, one.age_nights) for one in shapes_in(options(ledger, night, **more)["earlier"])]


def test_the_last_three_nights_tell_the_newest_first(ledger):
    assert nights(ledger) == []
    for night in ("20211012", "20211017", "20211010", "20211015", "20211018", "20211019"):
        did(ledger, night)
    assert nights(ledger) == [("20211017", 1), ("20211015", 3), ("20211012", 6)]
    assert nights(ledger, flux_earlier_nights=1) == [("20211017", 1)]
    assert options(ledger, flux_earlier_nights=0) == {}
    told = shapes_in(options(ledger)["earlier"])[0].shape
    assert str(told) == shape("20211017")


def test_too_old_a_night_and_one_of_another_instrument_tell_nothing(ledger):
    for night in ("20210917", "20210918", "20230406", "20230407"):
        did(ledger, night)
    assert nights(ledger) == [("20210918", 30)]
    assert nights(ledger, fallback_max_age_nights=0) == []
    assert nights(ledger, "20230407") == []
    assert nights(ledger, "20230408") == [("20230407", 1)]


def test_a_night_that_told_nothing_makes_room_for_another(ledger):
    for night in ("20211014", "20211015", "20211016"):
        did(ledger, night)
    path = Path("/redux/20211017/std-correction.fits")
    job = Job(step="fluxcal", night="20211017", label="1 standards", inputs={}, outputs={"fluxcal": path})
    ledger.jobs.start("former", job)
    product = Product(role="fluxcal", path=path, sha256="ab", size=3, mtime_ns=5)
    ledger.jobs.finish("former", job, Outcome(state="done", products=(product,), seconds=1.0), state="done")
    assert [night for night, _ in nights(ledger)] == ["20211016", "20211015", "20211014"]


def test_a_night_whose_geometry_is_refused_and_all_before_an_accepted_one_tell_nothing(ledger):
    for night in ("20211014", "20211015", "20211016", "20211017"):
        did(ledger, night)
    ledger.marks.put(REFUSED, "20211017", "", "departs")
    ledger.marks.put(ACCEPTED, "20211015", "", "remounted")
    assert [night for night, _ in nights(ledger)] == ["20211016", "20211015"]
    ledger.marks.put(ACCEPTED, NIGHT, "", "remounted")
    assert nights(ledger) == []


def test_a_night_goes_on_with_what_it_was_begun_with(ledger):
    did(ledger, "20211016")
    begun = options(ledger)
    did(ledger, NIGHT, given=begun["earlier"])
    did(ledger, "20211017")  # made late
    did(ledger, "20211016", own=shape("20211016", again="99"))  # made anew
    assert options(ledger) == begun
    assert [night for night, _ in nights(ledger, pin=False)] == ["20211017", "20211016"]
    assert "0.0199" in options(ledger, pin=False)["earlier"]
    # with a second standard it is made again, and the pin stays
    did(ledger, NIGHT, own="4000.0:0.1000:0.0100", given=begun["earlier"])
    assert options(ledger) == begun
    assert options(ledger, flux_earlier_nights=0) == {}


def test_a_night_that_was_begun_with_none_goes_on_with_none(ledger):
    did(ledger, NIGHT, given="")
    did(ledger, "20211017")
    assert nights(ledger) == []
    assert nights(ledger, pin=False) == [("20211017", 1)]


def test_a_night_whose_product_went_is_begun_anew(ledger):
    did(ledger, NIGHT, given="")
    did(ledger, "20211017")
    ledger.products.forget(Path(f"/redux/{NIGHT}/std-correction.fits"), NIGHT, "the file is gone")
    assert nights(ledger) == [("20211017", 1)]


def test_what_was_told_survives_the_loss_of_the_ledger(tmp_path):
    root = tmp_path / "redux"
    for night in ("20211017", NIGHT):
        (root / night).mkdir(parents=True)
        (root / night / "std-correction.fits").write_bytes(b"abc")
    with Ledger.open(tmp_path / "first.sqlite", clock=lambda: NOW, journal=Journal(root)) as first:
        did(first, "20211017", folder=root)
        did(first, NIGHT, given="20211016 2 " + shape("20211016"), folder=root)
        before = [options(first, night) for night in (NIGHT, "20211019")]
    with Ledger.open(tmp_path / "second.sqlite", clock=lambda: NOW) as second:
        assert take_up(second, root / "20211017") and take_up(second, root / NIGHT)
        assert [options(second, night) for night in (NIGHT, "20211019")] == before
    assert [one.night for one in shapes_in(before[0]["earlier"])] == ["20211016"]
    assert [one.night for one in shapes_in(before[1]["earlier"])] == [NIGHT, "20211017"]


def keys(options):
    """Keys by step of a night that was worked off, of its star and of one target."""
    records: dict[str, Record] = {}
    products: dict[str, str] = {}
    for _ in range(80):
        plan = plan_night(WHOLE, context(final=True, records=records, products=products, options=options))
        if not plan.due():
            return {node.job.step: node.key for node in plan.nodes if node.job.label in ("1 standards", "y_obs1")}
        node = plan.due()[0]
        records[node.key] = Record(state="done")
        products |= {path.name: node.key for path in node.job.outputs.values()}
    raise AssertionError("the planner does not come to an end")


def test_the_key_is_that_of_what_was_told_and_so_are_those_of_the_spectra():
    given = [{}, *({"fluxcal": {"earlier": text}} for text in ("", "20211017 1 " + shape("20211017")))]
    found = [keys(options) for options in given]
    for step in ("fluxcal", "calibrate", "page"):
        assert len({one[step] for one in found}) == 3
    assert len({one["extract"] for one in found}) == 1


def test_no_line_of_the_log_shows_the_shapes():
    told = {"standards": 2, OWN_SHAPE: shape(NIGHT), GIVEN_SHAPES: shape(NIGHT)}
    assert figures(told) == "standards=2"
    stream = io.StringIO()
    path = Path("/redux/20211018/std-correction.fits")
    job = Job(step="fluxcal", night=NIGHT, label="2 standards", inputs={}, outputs={"fluxcal": path})
    EventLog(clock=lambda: NOW, stream=stream).job(job, Outcome(state="done", figures=told, seconds=1.0), "done")
    assert "standards=2" in stream.getvalue() and "4000.0" not in stream.getvalue()
