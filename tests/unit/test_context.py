"""What earlier nights are offered to a night: as long as the instrument is the same."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.core.config import Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.ledger.ledger import Ledger
from sedmd.observation.noted_decisions import DECIDED
from sedmd.plan.calibrations import bias_label, output_checksum
from sedmd.run.context import night_context

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def did(ledger, night, step, role, label=None, *, inputs=(), figures=None):
    path = Path(f"/redux/{night}/{step}.fits")
    job = Job(step=step, night=night, label=label or step, inputs={}, outputs={role: path})
    key = f"{step} {night}"
    ledger.jobs.start(key, job, inputs=inputs)
    product = Product(role=role, path=path, sha256="ab", size=3, mtime_ns=5)
    ledger.jobs.finish(
        key, job, Outcome(state="done", figures=figures or {}, products=(product,), seconds=1.0), state="done"
    )
    return key


def whole_night(ledger, night):
    """Calibrations and a flux calibration."""
    did(ledger, night, "bias", "bias", bias_label(0.1))
    traces = did(ledger, night, "traces", "traces", figures={"spaxels": 1900, "pitch [px]": 50.4})
    from_traces = ("traces", output_checksum(traces, "traces"))
    wavelength = did(ledger, night, "wavelength", "wavelength", inputs=[from_traces])
    from_wavelength = ("wavelength", output_checksum(wavelength, "wavelength"))
    did(ledger, night, "flat", "flat", inputs=[from_traces, from_wavelength])
    did(ledger, night, "fluxcal", "fluxcal")


def context(ledger, night):
    settings = Settings(paths=Paths(raw_root=Path("/raw"), redux_root=Path("/redux")))
    return night_context(settings, ledger, night, [], now=NOW, final=False, versions={})


OTHER = ({"spaxels": 1200, "pitch [px]": 43.0}, {})


def offered(ledger, night):
    """Nights whose calibrations may serve, the night of the flux calibration, and whether the geometry is judged."""
    found = context(ledger, night)
    sets = [one.night for one in found.fallbacks]
    return sets, found.flux_fallback and found.flux_fallback.night, bool(found.geometry_changes(*OTHER))


def test_last_nights_of_the_same_instrument_serve(ledger):
    for night in ("20211016", "20211017"):
        whole_night(ledger, night)
    assert offered(ledger, "20211018") == (["20211017", "20211016"], "20211017", True)


@pytest.mark.parametrize("night", ["20230407", "20230408", "20190514", "20180619"])
def test_nothing_from_before_a_change_of_the_instrument_serves_or_judges(ledger, night):
    before = {"20230407": "20230406", "20230408": "20230406", "20190514": "20190513", "20180619": "20180618"}[night]
    whole_night(ledger, before)
    assert offered(ledger, night) == ([], None, False)
    assert offered(ledger, before) == ([], None, False)  # nor does a night serve itself


def test_first_night_after_a_change_serves_the_next(ledger):
    for night in ("20230410", "20230411"):
        whole_night(ledger, night)
    assert offered(ledger, "20230412") == (["20230411"], "20230411", True)


def test_old_night_of_the_same_instrument_judges_but_does_not_serve(ledger):
    whole_night(ledger, "20211018")
    assert offered(ledger, "20220301") == ([], None, True)


@pytest.mark.parametrize("night", ["20211015", "20211016"])
def test_a_night_is_offered_nothing_of_itself_and_of_later_nights(ledger, night):
    for other in ("20211016", "20211017"):
        whole_night(ledger, other)
    assert offered(ledger, night) == ([], None, False)


def test_products_that_an_observer_saved_under_their_own_name_are_graded(ledger):
    def decision(product, saved_as):
        entry = {"product": product, "saved_as": saved_as, "quality": 1, "reducer": "ann", "time": "", "sha256": "ab"}
        ledger.marks.put(DECIDED, "20211018", saved_as, json.dumps(entry))

    decision("ZTF21a_obs1", "ZTF21a_obs1")
    decision("ZTF21b_obs1", "ZTF21b_obs1_ann")  # the automatic spectrum keeps its name, and is made
    assert context(ledger, "20211018").graded == {"ZTF21a_obs1": "ann"}
    assert context(ledger, "20211019").graded == {}
