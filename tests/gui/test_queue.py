"""The queue never lies: order, what waits, what Enter leads to, what belongs to one target only."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from astropy.io import fits
from viewer_samples import NOW, Files, LaterJobs, do, entry_of, make_cube, make_header, make_observation, make_presenter

from sedmd.core.config import from_table
from sedmd.core.errors import SedmError
from sedmd.observation.load import load
from sedmd.products.cube import write_cube
from sedmview import targets
from sedmview.targets import Filter, NightList, TargetStatus


def add(folder, stem, name, day, **cards):
    write_cube(
        folder / f"e3d_crr_b_{stem}_{name.split()[0]}.fits",
        make_cube(n_wave=5, reach=3.0),
        header=make_header(name, day, **cards),
    )


def states(night, now=NOW):
    return {entry.product: entry.state for entry in night.entries(now)[0]}


@pytest.fixture
def half(tmp_path):
    """A night in which the A of a pair is the last exposure."""
    folder = tmp_path / "redux" / "20190612"
    add(folder, "ifu20190612_04_00_00", "SN2019abc", 0.1667)
    add(folder, "ifu20190612_05_40_00", "ZTF19half [A]", 0.2361)
    return folder


# ---- what waits for the pair


def test_a_pair_is_waited_for_while_it_may_come(half):
    assert states(NightList(half))["ZTF19half_obs1"] is TargetStatus.PAIR
    assert states(NightList(half), NOW + timedelta(days=1))["ZTF19half_obs1"] is TargetStatus.READY


def test_what_was_followed_by_another_target_is_waited_for_no_more(half):
    add(half, "ifu20190612_05_58_00", "SN2019def", 0.2486)
    assert states(NightList(half))["ZTF19half_obs1"] is TargetStatus.READY
    assert entry_in(half, "ZTF19half_obs1").half == "A"


@pytest.mark.parametrize("closed", [False, True])
def test_a_night_that_is_closed_waits_for_nothing(half, monkeypatch, closed):
    root = half.parent
    (root / ".sedmd").mkdir()
    (root / ".sedmd" / "ledger.sqlite").touch()
    told = SimpleNamespace(targets=(), closed=closed)
    monkeypatch.setattr(targets, "snapshot", lambda *_, **__: told)
    settings = from_table({"paths": {"raw_root": "/dev/null", "redux_root": str(root)}}, origin="test", base=root)
    expected = TargetStatus.READY if closed else TargetStatus.PAIR
    assert states(NightList(half, settings=settings))["ZTF19half_obs1"] is expected


def entry_in(folder, product):
    return next(entry for entry in NightList(folder).entries(NOW)[0] if entry.product == product)


# ---- order


def test_the_list_is_in_the_order_of_time_whatever_becomes_of_a_target(half):
    add(half, "ifu20190612_02_00_00", "SN2019old", 0.0833)
    before = list(states(NightList(half)))
    assert before == ["SN2019old_obs1", "SN2019abc_obs1", "ZTF19half_obs1"]
    fits.PrimaryHDU(header=fits.Header({"QUALITY": 1, "REDUCER": "Ada", "STEP": "observer"})).writeto(
        half / "sp_SN2019old_obs1.fits"
    )
    add(half, "ifu20190612_05_58_00", "SN2019new", 0.2486)
    assert list(states(NightList(half))) == [*before, "SN2019new_obs1"]
    assert states(NightList(half))["SN2019old_obs1"] is TargetStatus.DONE


def test_the_airmass_of_the_list_is_that_of_the_spectrum(half):
    add(half, "ifu20190612_05_58_00", "SN2019def", 0.2486, AIRMASS=1.5, ENDAIR=1.6)
    listed = entry_in(half, "SN2019def_obs1")
    observation = load(listed.product, listed.cubes)
    assert listed.airmass == observation.meta["airmass"] == pytest.approx(1.55)


# ---- what Enter leads to


def test_enter_leads_to_everything_that_needs_a_person_and_to_nothing_else():
    presenter = make_presenter(
        n=8,
        T1={"state": TargetStatus.DONE, "quality": 1, "reducer": "Ada"},
        T2={"state": TargetStatus.PROVISIONAL},
        T3={"state": TargetStatus.PAIR, "half": "A"},
        T4={"state": TargetStatus.FAILED, "reason": "no light"},
        T5={"state": TargetStatus.AUTOMATIC, "quality": 1, "reducer": "sedmd"},
        T6={"state": TargetStatus.AUTOMATIC},
        T7={"state": TargetStatus.FAILED, "standard": True},
    )
    seen = [presenter.state.entry.product]
    while presenter.opening.open_next_ready(quiet=True):
        seen.append(presenter.state.entry.product)
        if len(seen) > 8:
            break
    # round and round, from each to the next in the list
    assert seen == ["T0", "T2", "T4", "T6", "T0", "T2", "T4", "T6", "T0"]


def test_no_other_target_is_ready_is_true():
    presenter = make_presenter(n=2, T1={"name": "ZTF19x"})
    presenter.listing.set_filter(Filter.OTHER)
    do(presenter, "S 1 Return")
    assert "1 more with all of them (F2)" in presenter.prompt
    presenter.listing.set_filter(Filter.ALL)
    do(presenter, "Return S 1 Return")
    assert presenter.prompt.endswith("No other target is ready")


def test_saved_ones_stay_where_they_are():
    presenter = make_presenter(n=3)
    order = [entry.product for entry in presenter.state.entries]
    do(presenter, "S 1 Return")
    assert [entry.product for entry in presenter.state.entries] == order


def test_what_cannot_be_opened_does_not_hold_up_the_queue():
    files = Files({f"T{number}": make_observation(product=f"T{number}") for number in range(3)})
    good = files.load

    def some(entry):
        if entry.product == "T1":
            raise SedmError("T1.fits: damaged")
        return good(entry)

    files.load = some
    presenter = make_presenter(files=files)
    presenter.opening.open_next_ready()
    assert presenter.state.entry.product == "T0" and "damaged" in presenter.prompt
    presenter.listing.refresh()
    assert entry_of(presenter, "T1").state is TargetStatus.FAILED
    presenter.opening.open_next_ready()
    assert presenter.state.entry.product == "T2"
    files.load = good
    presenter.opening.open(entry_of(presenter, "T1"))
    presenter.listing.refresh()
    assert presenter.state.entry.product == "T1" and entry_of(presenter, "T1").state is TargetStatus.READY


# ---- type to find


def test_part_of_a_name_finds_a_target():
    presenter = make_presenter(n=3, T2={"name": "SN2019xyz"})
    presenter.listing.find(" 2019X ")
    assert [entry.product for entry in presenter.state.shown_entries] == ["T2"]
    presenter.listing.find("")
    assert len(presenter.state.shown_entries) == 3


# ---- search ahead


def test_every_target_that_waits_is_searched_ahead_one_at_a_time():
    jobs = LaterJobs()
    presenter = make_presenter(n=12, jobs=jobs, T3={"state": TargetStatus.DONE, "quality": 1})
    searches = []
    search = presenter.desk.files.suggest
    presenter.desk.files.suggest = lambda one: searches.append(one.product) or search(one)
    jobs.run("list"), presenter.opening.open(presenter.state.entries[0]), jobs.run("load")
    for _ in range(20):
        assert sum(lane == "search" for lane, *_ in jobs.waiting) <= 1
        jobs.run("search")
    assert searches == [f"T{number}" for number in range(12) if number != 3]
    # the cubes of some only are kept, what was found is not looked for again
    presenter.opening.open(entry_of(presenter, "T1"))
    jobs.run("load")
    assert presenter.state.suggestion is not None and not presenter.state.searching


def test_a_target_that_cannot_be_read_ahead_stops_no_other():
    files = Files({f"T{number}": make_observation(product=f"T{number}") for number in range(4)})
    good = files.load
    files.load = lambda entry: (_ for _ in ()).throw(SedmError("cut")) if entry.product == "T1" else good(entry)
    presenter = make_presenter(files=files)
    assert set(presenter.opening._ready) == {"T0", "T2", "T3"}


# ---- what belongs to one target


def test_redshift_and_pointer_do_not_leak_to_the_next_target():
    presenter = make_presenter(n=2)
    presenter.looking.set_redshift(0.05)
    presenter.drawing.set_velocity(9000.0)
    do(presenter, "X")
    presenter.placing.point(1.0, 2.0)
    do(presenter, "PgDown")
    assert presenter.state.redshift == 0.0 and presenter.state.pointer is None
    assert presenter.state.drawn.velocity_km_s == 0.0
    assert presenter.state.choice.active == "A"
    presenter.looking.set_redshift(0.02)
    do(presenter, "PgUp")
    assert presenter.state.redshift == 0.05 and presenter.state.drawn.velocity_km_s == 9000.0


def test_the_active_aperture_is_a_for_every_new_target():
    presenter = make_presenter(pair=True)
    presenter.placing.place(3.0, -4.0)
    assert presenter.state.choice.active == "B"
    do(presenter, "PgDown")
    assert presenter.state.choice.active == "A"


def test_a_search_of_the_target_before_does_not_keep_the_next_one_searching():
    jobs = LaterJobs()
    presenter = make_presenter(n=2, jobs=jobs)
    jobs.run("list"), presenter.opening.open(presenter.state.entries[1]), jobs.run("load")
    jobs.run("search")
    presenter.opening._ready.pop("T0", None)
    jobs.waiting.clear()
    presenter.opening.open(entry_of(presenter, "T0")), jobs.run("load")
    assert presenter.state.searching
    presenter.opening.open(entry_of(presenter, "T1")), jobs.run("load")
    assert not presenter.state.searching
    presenter.state.entry = replace(presenter.state.entry)
