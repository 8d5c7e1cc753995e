"""Whole nights from raw frames to spectra, held against their truth: every figure of the scorer with its limit.

The present instrument always, one night of each other epoch with the slow tests. A night here is the least from which a
calibrated spectrum comes. One test for each night: tests that run in several processes would each make it anew.
"""

from pathlib import Path

import pytest
from benchmarks.instruments import drawn

from sedmd import cli
from sedmd.ledger.ledger import Ledger
from sedmd.raw.rawname import stem_of
from sedmd.simulate import load_profile
from sedmd.simulate.profiles import NEWEST
from sedmd.simulate.score import ScoreRow, products_of, score_night
from sedmd.simulate.score_table import compare, decides

from .helpers import NOW

EPOCHS = [NEWEST, *(pytest.param(name, marks=pytest.mark.slow(seconds=40)) for name in ("2017", "2019", "2021"))]


def values(rows: list[ScoreRow], what: str) -> list[float]:
    """The figures of one name."""
    return [float(row.value) for row in rows if row.what == what]


def lost_frames(redux: Path, night: str, raw: Path) -> list[str]:
    """What became of raw frames that no rule could read, or that the ledger does not know."""
    with Ledger.open(redux / ".sedmd" / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        known = ledger.frames.of_night(night)
    unknown = {stem_of(path) for path in raw.glob("*/ifu*.fits*")} - {stem_of(row.path) for row in known}
    return [*sorted(unknown), *(f"{row.path.name} {row.describe()}" for row in known if row.frame is None)]


@pytest.mark.slow(seconds=40)
def test_spectra_that_overlap_at_their_ends_keep_their_own_light(tmp_path):
    """The red end of a spectrum 3.5 rows off another's blue one: a target came out 7 % too bright at 410 nm."""
    profile = tmp_path / "instrument.toml"
    profile.write_text(drawn(205))
    assert cli.main(["simulate", str(tmp_path), "--least", "--profile", str(profile), "--seed", "205"]) == 0
    raws = [str(path) for path in sorted((tmp_path / "raw").iterdir())]
    assert cli.main(["reduce", *raws, "--redux", str(tmp_path / "redux"), "--workers", "1"]) == 0
    rows = score_night(tmp_path / "truth", products_of(tmp_path / "redux"))
    assert [row for row in rows if decides(row) and not row.passed] == [], compare(rows)


@pytest.mark.parametrize("profile", EPOCHS)
def test_a_night_comes_out_as_it_was(tmp_path, profile):
    assert cli.main(["simulate", str(tmp_path), "--least", "--profile", profile, "--seed", "1"]) == 0
    redux, night = tmp_path / "redux", load_profile(profile).example
    nights = [str(path) for path in sorted((tmp_path / "raw").iterdir())]
    assert cli.main(["reduce", *nights, "--redux", str(redux), "--workers", "1"]) == 0
    assert lost_frames(redux, night, tmp_path / "raw") == []

    rows = score_night(tmp_path / "truth", redux, night)
    told = compare(rows)
    assert [row for row in rows if decides(row) and not row.passed] == [], told
    # the figures that docs/measured.md promises are among them
    assert len(values(rows, "flux in 20 nm bins, largest error")) == 2, told
    assert values(rows, "complete traces found")[0] >= 97.0
    assert values(rows, "wavelength error, median")[0] <= 0.10
    assert max(values(rows, "flexure y, error")) <= 0.05
    # wings that are not those of the spectra put the light of bright neighbours on the faint ends: 4 to 10 %; light of
    # spectra beyond the chip that nobody models does the same at its edges
    blue, other = values(rows, "flat, rms")
    assert blue <= 4.5 and other <= 0.5, told
    assert [row.value for row in rows if row.what == "fate"] == ["spectrum", "spectrum"], told
    assert cli.main(["validate", str(tmp_path / "truth"), str(redux)]) == 0
