"""The configuration: typed, no unknown key, a suggestion for the likely one, the origin of each value."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from sedmd.cli import main
from sedmd.core.config import NEEDS_RESTART, SECTIONS, Instrument, Settings, from_table, load, pages, show
from sedmd.core.config.setting import Setting, declared
from sedmd.core.errors import ConfigError

SMALLEST = {"paths": {"raw_root": "/raw", "redux_root": "/redux"}}
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "sedmd.toml"


def table(**sections):
    return from_table(SMALLEST | sections, origin="test.toml", base=Path("/etc"))


def test_two_paths_are_enough():
    settings = table()
    assert settings.paths.raw_root == Path("/raw")
    assert settings.paths.state == Path("/redux/.sedmd")
    assert settings.watch.scan_interval_s == 10.0


@pytest.mark.parametrize(
    "sections, message",
    [
        ({"wacth": {}}, "no section 'wacth'; did you mean 'watch'"),
        ({"watch": {"settle": 3}}, "has no key 'settle'; did you mean 'settle_s'"),
        ({"watch": {"zzz": 3}}, "known: pattern"),
        ({"watch": {"settle_s": "3"}}, r"\[watch\] settle_s is '3'; expected a number"),
        ({"watch": {"settle_s": True}}, "expected a number"),
        ({"watch": {"settle_s": -1}}, "expected zero or more"),
        ({"watch": {"scan_interval_s": 0}}, "expected more than zero"),
        ({"watch": {"scan_interval_s": float("nan")}}, "expected more than zero"),
        ({"watch": {"nights_back": 1.5}}, "expected a whole number"),
        ({"watch": {"mode": "magic"}}, "expected one of auto, inotify, poll"),
        ({"calibrations": {"until_ut_hour": 25.0}}, "expected an hour"),
        ({"site": {"latitude_deg": 95.0}}, "expected -90 to 90"),
        ({"calibrations": {"fallback_redo": "perhaps"}}, "expected one of offer, auto"),
        ({"jobs": {"engine": "dask"}}, "dask_scheduler is empty"),
        ({"jobs": {"retry_after_s": 5}}, "expected a list of numbers"),
        ({"jobs": {"retry_after_s": ["x"]}}, "expected a number"),
        ({"paths": {"raw_root": "/raw"}}, "redux_root is missing"),
        ({"paths": {"raw_root": 1, "redux_root": "/r"}}, "expected a path"),
        ({"paths": {"raw_root": "/raw", "redux_root": "/raw/redux"}}, "lies in raw_root"),
        ({"watch": 3}, "must be a table"),
        ({"watch": {"scan_interval_s": float("inf")}}, "expected more than zero"),
        ({"extraction": {"min_confidence": 1.1}}, "expected 0 to 1"),
        ({"upload": {"group_ids": "everybody"}}, "expected a list of numbers"),
        ({"upload": {"group_ids": [1, "all"]}}, "expected a whole number"),
        ({"mail": {"recipients": "me@example.org"}}, "expected a list of texts"),
        ({"upload": {"url": "https://me:secret@fritz.science"}}, r"\[upload\] url holds a user or a password"),
        ({"classify": {"skip": ["NGC"]}}, r"\[classify\] skip 'NGC' is not a rule on names"),
    ],
)
def test_refusals_name_the_key_the_rule_and_the_likely_key(sections, message):
    with pytest.raises(ConfigError, match=message):
        table(**sections)


def test_relative_paths_start_at_the_file(tmp_path):
    file = tmp_path / "sedmd.toml"
    file.write_text('[paths]\nraw_root = "raw"\nredux_root = "../redux"\n')
    settings = load(file)
    assert settings.paths.raw_root == tmp_path / "raw"
    assert settings.paths.redux_root == tmp_path.parent / "redux"


@pytest.mark.parametrize("text, message", [("[paths", "not valid TOML"), (None, "cannot be read")])
def test_unreadable_file(tmp_path, text, message):
    file = tmp_path / "sedmd.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file)


def test_origins_are_kept_and_shown():
    settings = table(watch={"settle_s": 3})
    assert settings.origins["watch.settle_s"] == "test.toml"
    text = show(settings)
    assert "settle_s = 3.0  # test.toml" in text
    assert "scan_interval_s = 10.0  # default" in text
    assert from_table(tomllib.loads(text), origin="again", base=Path("/")) == settings


def test_the_shipped_file_holds_every_setting_with_its_default():
    shipped = load(SHIPPED)
    defaults = Settings(paths=shipped.paths)
    assert shipped == defaults
    text = SHIPPED.read_text()
    for section, cls in SECTIONS.items():
        assert f"[{section}]" in text
        for entry in dataclasses.fields(cls):
            assert f"{entry.name} = " in text, f"[{section}] {entry.name} is not in {SHIPPED.name}"
    # every setting is explained
    lines = [line for line in text.splitlines() if " = " in line and not line.startswith("# Check")]
    assert [line for line in lines if "  # " not in line] == []


def test_sample_and_page_in_the_repository_are_those_of_the_declaration(capsys):
    for action, path in (("sample", SHIPPED), ("doc", ROOT / "docs" / "settings.md")):
        assert main(["config", action]) == 0
        made = capsys.readouterr().out
        assert path.read_text(encoding="utf-8") == made, f"sedmd config {action} > {path.relative_to(ROOT)}"
    assert max(map(len, pages.sample().splitlines())) <= pages.WIDTH


def test_the_page_of_settings_tells_what_is_declared():
    page = pages.page()
    for section, cls in SECTIONS.items():
        _, found, rest = page.partition(f"\n## `[{section}]`\n")
        assert found
        rows = {row.split("`")[1]: row for row in rest.split("\n## ")[0].splitlines() if row.startswith("| `")}
        assert list(rows) == [entry.name for entry in dataclasses.fields(cls)]
        for entry in dataclasses.fields(cls):
            assert ("*(restart)*" in rows[entry.name]) == (f"{section}.{entry.name}" in NEEDS_RESTART)
            assert declared(entry).unit in rows[entry.name]


def test_units_in_names_are_those_declared():
    ends = {"_s": "s", "_arcsec": "arcsec", "_mb": "MB", "_deg": "deg", "_frames": "frames", "_m": "m"}
    wrong = [
        f"{section}.{entry.name}"
        for section, cls in SECTIONS.items()
        for entry in dataclasses.fields(cls)
        for end, unit in ends.items()
        if entry.name.endswith(end) and declared(entry).unit != unit
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "limits, good, bad",
    [
        ({}, (1e-9, 1e9), (0, -1, float("inf"), float("nan"))),
        ({"least": 0}, (0, 1), (-1e-9, float("inf"), float("nan"))),
        ({"least": -90, "most": 90}, (-90, 0, 90), (-91, 91, float("nan"))),
        ({"most": 24}, (1, 24), (0, 25)),
    ],
)
def test_limits_of_a_number(limits, good, bad):
    told = Setting(text="a number", **limits)
    assert all(told.allows(value) for value in good)
    assert not any(told.allows(value) for value in bad)


def test_all_groups_may_be_named_in_two_ways():
    for given in ("all", ["all"]):
        assert table(upload={"group_ids": given}).upload.group_ids == ("all",)
    assert table(upload={"group_ids": [3, 4]}).upload.group_ids == (3, 4)


def test_a_file_is_needed_to_be_checked(capsys):
    assert main(["config", "check"]) == 2
    assert "give --config FILE" in capsys.readouterr().err


def test_field_centre_is_the_last_entry_that_is_not_later():
    instrument = Instrument(field_centres=("20180926 1019.5 1014.5", "20130101 1024 1024"))
    assert instrument.field_centre("20170612") == (1024.0, 1024.0)
    assert instrument.field_centre("20180926") == (1019.5, 1014.5)
    assert instrument.field_centre("20100101") is None  # before all of them, and without any, it is learned
    assert Instrument().field_centre("20240112") is None


def test_a_field_centre_that_is_no_place_is_refused(tmp_path):
    table = {"paths": {"raw_root": "raw", "redux_root": "redux"}, "instrument": {"field_centres": ["soon 1 2"]}}
    with pytest.raises(ConfigError, match="'soon 1 2' is not a night, a column and a row"):
        from_table(table, origin="test", base=tmp_path)
