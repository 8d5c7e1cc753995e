"""Bad pixels from night to night: from the ledger to the option of the flat, its key, and no line of the log."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.core.config import Calibrations, Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.core.memory_figures import GIVEN_PIXELS, OWN_PIXELS
from sedmd.ledger.ledger import Ledger
from sedmd.run.context import night_context
from sedmd.run.event_log import figures

from .test_flux_shapes import keys

NOW = datetime(2021, 10, 20, 12, tzinfo=UTC)
NIGHT = "20211018"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def did(ledger, night, told):
    path = Path("/redux") / night / "flat.fits"
    job = Job(step="flat", night=night, label="flat", inputs={}, outputs={"flat": path})
    product = Product(role="flat", path=path, sha256="ab", size=3, mtime_ns=5)
    key = f"flat {night}"
    ledger.jobs.start(key, job)
    ledger.jobs.finish(key, job, Outcome(state="done", figures=told, products=(product,), seconds=1.0), state="done")


def options(ledger, night=NIGHT, pin=True, **rules):
    settings = Settings(
        paths=Paths(raw_root=Path("/raw"), redux_root=Path("/redux")), calibrations=Calibrations(**rules)
    )
    made = night_context(settings, ledger, night, [], now=NOW, final=False, versions={}, pin_fallbacks=pin)
    return {name: text for name, text in made.options["flat"].items() if name == "pixels"}


def test_the_flat_is_given_what_five_nights_of_the_same_camera_found(ledger):
    assert options(ledger) == {"pixels": ""}
    for day in range(10, 18):
        did(ledger, f"202110{day}", {OWN_PIXELS: f"{day}:1/"})
    given = options(ledger)["pixels"]
    assert given == "; ".join(f"202110{day} {18 - day} {day}:1/" for day in (17, 16, 15, 14, 13))
    assert options(ledger, pixel_earlier_nights=1)["pixels"] == "20211017 1 17:1/"
    assert options(ledger, pixel_earlier_nights=0) == {}
    did(ledger, "20230406", {OWN_PIXELS: "1:1/"})
    assert options(ledger, "20230407") == {"pixels": ""}  # another camera


def test_a_night_goes_on_with_the_list_that_it_was_begun_with(ledger):
    did(ledger, NIGHT, {OWN_PIXELS: "1:1/", GIVEN_PIXELS: "20211016 2 2:2/"})
    did(ledger, "20211017", {OWN_PIXELS: "3:3/"})
    assert options(ledger) == {"pixels": "20211016 2 2:2/"}
    assert options(ledger, pin=False) == {"pixels": "20211017 1 3:3/"}


def test_the_keys_of_flat_and_spectra_are_those_of_what_was_told_and_the_log_shows_none_of_it():
    found = [keys({"flat": {"pixels": text}}) for text in ("", "20211017 1 3:3/")]
    assert len({one["calibrate"] for one in found}) == 2
    assert figures({"bad pixels": 2, OWN_PIXELS: "3:3/", GIVEN_PIXELS: ""}) == "bad pixels=2"
