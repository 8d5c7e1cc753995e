"""The night's list from files and ledger, finder charts, what is remembered."""

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from astropy.io import fits
from tell_samples import observed, state
from viewer_samples import NOW

from sedmd.core.config import from_table
from sedmd.core.errors import SedmError
from sedmd.ledger.ledger import Ledger
from sedmview import targets
from sedmview.disk import NightOnDisk
from sedmview.finder import find_finder, folders_of
from sedmview.lines import BALMER, SETS, shifted
from sedmview.memory import Memory
from sedmview.targets import Entry, Filter, NightList, TargetStatus, age, matching, passes


@pytest.fixture
def settings(redux):
    """The settings of a pipeline whose ledger is there."""
    made = from_table({"paths": {"raw_root": os.devnull, "redux_root": str(redux.parent)}}, origin="t", base=redux)
    made.paths.state.mkdir(parents=True)
    with Ledger.open(made.paths.state / "ledger.sqlite", clock=lambda: NOW):
        pass
    return made


def told(monkeypatch, *rows):
    monkeypatch.setattr(targets, "snapshot", lambda *_, **__: state(*rows))


def states(night):
    entries, warnings = night.entries(NOW)
    return {entry.product: (entry.state, entry.reason) for entry in entries}, warnings


def test_the_ledger_adds_reasons_failures_and_what_has_no_cube_yet(redux, settings, monkeypatch):
    told(
        monkeypatch,
        observed("ZTF19abc", "extract awaiting observer", "ZTF19abc: more than one object"),
        observed("SN2019xyz_obs1", "extract failed", "took 900 s"),
        observed("ZTF19new_obs1", "extract waiting", "waits for wavelength.fits"),
        observed("ZTF19bad", "cube quarantined", "every pixel is zero"),
    )
    found, warnings = states(NightList(redux, settings=settings))
    assert warnings == []
    assert found["ZTF19abc"] == (TargetStatus.READY, "more than one object")
    assert found["SN2019xyz_obs1"] == (TargetStatus.FAILED, "took 900 s")
    assert found["ZTF19new_obs1"] == (TargetStatus.WAITING, "waits for wavelength.fits")
    assert found["ZTF19bad"] == (TargetStatus.FAILED, "every pixel is zero")
    assert len(found) == 6


def test_an_empty_ledger_is_told_and_the_files_are_shown(redux, settings):
    found, warnings = states(NightList(redux, settings=settings))
    assert len(found) == 4 and "no frames of night 20190612" in warnings[0]


def test_an_observation_that_the_ledger_does_not_know_is_told_by_the_headers(redux, settings):
    disk = NightOnDisk(NightList(redux, settings=settings), Memory(redux / "memory"), lambda: NOW)
    entry = entry_of(disk.night, "ZTF19abc")
    loaded = disk.load(entry)
    assert loaded.inputs.by_headers and loaded.notes[-2].startswith("no ledger")
    assert disk.stamp(entry) == loaded.stamp


@pytest.mark.parametrize("error", [SedmError("newer than this program"), sqlite3.OperationalError("locked")])
def test_a_ledger_in_trouble_hides_no_file(redux, settings, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(targets, "snapshot", broken)
    found, warnings = states(NightList(redux, settings=settings))
    assert len(found) == 4 and str(error) in warnings[0]


def test_without_a_ledger_the_files_tell(redux):
    found, warnings = states(NightList(redux))
    assert warnings == [] and found["ZTF19half_obs1"][0] is TargetStatus.PAIR


def entry_of(night, product, now=NOW):
    return next(entry for entry in night.entries(now)[0] if entry.product == product)


def test_half_of_a_pair_is_one_as_long_as_the_other_may_come_and_after(redux):
    waiting, later = (entry_of(NightList(redux), "ZTF19half_obs1", NOW + timedelta(hours=hours)) for hours in (0, 6))
    assert (waiting.state, waiting.half, waiting.partial) == (TargetStatus.PAIR, "A", True)
    assert (later.state, later.half, later.partial) == (TargetStatus.READY, "A", True)


def test_a_single_labelled_a_is_ready_and_no_half(redux):
    (path,) = redux.glob("e3d_*ZTF19half.fits")
    with fits.open(path, mode="update") as cube:
        cube[0].header["ABPAIR"] = False
    entry = entry_of(NightList(redux), "ZTF19half_obs1")
    assert (entry.state, entry.half, entry.partial) == (TargetStatus.READY, "", False)


@pytest.mark.parametrize(
    ("cards", "shown"),
    [
        ({"QUALITY": 1, "REDUCER": "sedmd", "STEP": "calibrate"}, (TargetStatus.AUTOMATIC, 1, "sedmd")),
        ({"QUALITY": 0, "REDUCER": "sedmd", "STEP": "calibrate"}, (TargetStatus.AUTOMATIC, None, "")),
        ({"QUALITY": 0, "PROVIS": True, "STEP": "calibrate"}, (TargetStatus.PROVISIONAL, None, "")),
        ({"QUALITY": 3, "REDUCER": "Ada L.", "STEP": "observer"}, (TargetStatus.DONE, 3, "Ada L.")),
    ],
)
def test_a_spectrum_tells_whose_it_is_and_its_grade(redux, cards, shown):
    fits.PrimaryHDU(header=fits.Header(cards)).writeto(redux / "sp_ZTF19abc.fits")
    (entry,) = [one for one in NightList(redux).entries(NOW)[0] if one.product == "ZTF19abc"]
    assert (entry.state, entry.quality, entry.reducer) == shown


def test_files_that_are_no_cubes_are_told_and_cost_nothing_else(redux):
    (redux / "e3d_notes.fits").write_text("not FITS")
    (redux / "e3d_empty.fits").write_bytes(b"")
    found, warnings = states(NightList(redux))
    assert len(found) == 4 and len(warnings) == 2


def test_a_folder_that_is_gone_is_an_empty_list(tmp_path):
    assert NightList(tmp_path / "20190613").entries(NOW) == ([], [])


@pytest.mark.parametrize(
    ("minutes", "text"), [(3, "3 min"), (119, "119 min"), (150, "2.5 h"), (3000, "04:00 UT"), (-5, "")]
)
def test_age(minutes, text):
    assert age(NOW - timedelta(minutes=minutes), NOW) == text


def test_names_of_the_command_line():
    entries = [Entry(product=p, name=n) for p, n in (("ZTF19abc", "ZTF19abc"), ("ZTF19abc_obs2", "ZTF19abc"))]
    assert [entry.product for entry in matching(entries, "ZTF19abc_obs2")] == ["ZTF19abc_obs2"]
    assert [entry.product for entry in matching(entries, "sp_ZTF19abc.npy")] == ["ZTF19abc"]
    assert len(matching(entries, "ztf19ABC")) == 2 and matching(entries, "SN") == []


def test_filters():
    star = Entry(product="STD-X_obs1", name="STD-X", standard=True)
    ztf, other = (
        Entry(product="ZTF19a", name="ZTF19a"),
        Entry(product="SN2019x", name="SN2019x", state=TargetStatus.DONE),
    )
    passing = {wanted: [passes(one, wanted) for one in (star, ztf, other)] for wanted in Filter}
    assert passing == {
        Filter.ALL: [True, True, True],
        Filter.SCIENCE: [False, True, True],
        Filter.OTHER: [False, False, True],
        Filter.REDO: [False, False, True],
    }


def test_the_finder_nearest_in_time_of_this_target_only(tmp_path):
    night = tmp_path / "redux" / "20190612"
    charts = tmp_path / "phot" / "20190612" / "finders"
    charts.mkdir(parents=True)
    for name in (
        "finder_rc20190612_04_00_00_ACQ-ZTF19abc_NA.png",
        "finder_rc20190612_05_00_00_ACQ-ZTF19abc_NA.png",
        "finder_rc20190612_04_06_00_ACQ-ZTF19abcd_NA.png",
        "finder_x_ACQ-SN_2019x_r.png",
    ):
        (charts / name).write_bytes(b"")
    start = datetime(2019, 6, 12, 4, 10, tzinfo=UTC)
    folders = folders_of(night)
    found = find_finder(folders, "ZTF19abc", start)
    assert found.path.name.startswith("finder_rc20190612_04_00") and found.apart_s == 600
    assert find_finder(folders, "SN 2019x", start).apart_s is None
    assert find_finder(folders, "ZTF19a", start) is None
    assert find_finder((Path("/nowhere"),), "ZTF19abc", None) is None


def test_memory_is_kept_by_night_and_place(tmp_path):
    memory = Memory(tmp_path / "home")
    one, two = tmp_path / "a" / "20190612", tmp_path / "b" / "20190612"
    memory.keep_draft(one, "ZTF19abc", {"grade": 1})
    assert memory.draft(one, "ZTF19abc") == {"grade": 1} and memory.draft(two, "ZTF19abc") is None
    memory.drop_draft(one, "ZTF19abc")
    memory.drop_draft(one, "ZTF19abc")
    assert memory.draft(one, "ZTF19abc") is None
    memory.keep_settings(reducer="Ada")
    memory.keep_settings(colours="night")
    assert memory.settings() == {"reducer": "Ada", "colours": "night"}
    for broken in ("{", "[" * 100_000):
        (tmp_path / "home" / "settings.json").write_text(broken)
        assert memory.settings() == {}
    (tmp_path / "home" / "settings.json").unlink()
    for name in ("settings.json", "actions.jsonl"):
        os.mkfifo(tmp_path / "home" / name)
    assert memory.settings() == {}
    with pytest.raises(OSError, match="a pipe"):
        memory.log(action="x")


def test_lines_move_with_the_redshift():
    assert dict(shifted(BALMER, 0.1))["Hα"] == pytest.approx(7219.08)
    assert SETS[0][1] == () and {line for _, lines in SETS for line in lines} == set(SETS[-1][1])
