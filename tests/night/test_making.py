"""Frames in the making: headers that come late or never, and files that are compressed in place in the morning."""

import gzip
from datetime import timedelta

import numpy as np
import pytest

import sedmd.run.ingest
from sedmd.ledger.ledger import Ledger

from .helpers import NOW, configure, products, service, stop, wait_for
from .raw_night import EVENING, NIGHT, SHAPE, Raw, calibrations, on_sky, raw, whole_night
from .test_mend import reduce
from .test_operator import ask
from .test_reduce import write


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def settings(tmp_path):
    return configure(tmp_path)


def unfinished(start, **changes):
    """A frame with the camera's cards only, and light in it."""
    robot = dict.fromkeys(("OBJECT", "NAME", "AIRMASS", "DOMEST", "LAMPCUR", "JD", "ABPAIR"))
    made = raw(start, "x", **(robot | changes))
    pixels = np.frombuffer(made.content, ">i2", SHAPE[0] * SHAPE[1], len(made.content) - 8640).reshape(SHAPE).copy()
    pixels[:, :20] += 500
    return Raw(place=made.place, content=made.content[:-8640] + pixels.tobytes().ljust(8640, b"\0"))


def test_frames_whose_header_never_came_are_accounted_for_and_named_by_hand(settings, capsys):
    write(settings, [*calibrations(), *on_sky("x")])
    write(settings, [unfinished(EVENING + timedelta(hours=1)), unfinished(EVENING + timedelta(hours=2), EXPTIME=30.0)])
    summary = reduce(settings)
    outcome = {row.frame: (row.what, row.outcome, row.why) for row in summary.rows}
    assert outcome["ifu20190612_05_00_00.fits"][0] == "science"
    assert "the header was never finished" in outcome["ifu20190612_05_00_00.fits"][2]
    assert outcome["ifu20190612_06_00_00.fits"][:2] == ("ignored", "ignored")
    assert "an exposure of 30 s, which may be of a lamp" in outcome["ifu20190612_06_00_00.fits"][2]
    assert summary.code == 0
    folder = settings.paths.redux_root / NIGHT
    assert (folder / "sp_ifu20190612_05_00_00_obs1.fits").exists()
    ask(capsys, settings, "mend", "ifu20190612_05_00_00", "OBJECT=ZTF19aakjtgd [A]")
    ask(capsys, settings, "mend", "ifu20190612_06_00_00", "OBJECT=STD-Feige34")
    reduce(settings)
    names = {path.name for path in folder.glob("sp_*.fits")}
    assert names == {"sp_x_obs1.fits", "sp_ZTF19aakjtgd_obs1.fits", "sp_STD-Feige34_obs1.fits"}


def test_a_service_takes_an_unfinished_frame_after_its_wait_and_its_header_when_it_comes(settings):
    config = settings.paths.raw_root.parent / "sedmd.toml"
    config.write_text(config.read_text().replace("[night]", "header_wait_s = 2.0\n[night]", 1))
    folder = settings.paths.redux_root / NIGHT
    start = EVENING + timedelta(hours=1)
    with service(settings) as daemon:
        write(settings, [*calibrations(), unfinished(start)])
        wait_for((folder / "sp_ifu20190612_05_00_00_obs1.fits").exists, daemon)
        write(settings, [raw(start, "ZTF19aakjtgd [A]")])
        wait_for((folder / "sp_ZTF19aakjtgd_obs1.fits").exists, daemon)
        wait_for(lambda: not (folder / "sp_ifu20190612_05_00_00_obs1.fits").exists(), daemon)
        assert stop(daemon)[0] == 0


def test_a_night_that_is_gzipped_in_place_is_done_already(settings):
    write(settings, whole_night())
    before = reduce(settings)
    made = products(settings)
    for path in sorted(settings.paths.raw_root.rglob("*.fits")):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    labels = []
    after = reduce(settings, progress=lambda done, total, label: labels.append(label))
    assert not [label for label in labels if not label.startswith("reading")]
    assert products(settings) == made
    told = [{row.frame.removesuffix(".gz"): row.outcome for row in summary.rows} for summary in (before, after)]
    assert told[0] == told[1]
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        assert len(ledger.frames.all()) == len(whole_night())
