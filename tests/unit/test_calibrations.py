"""Sets of earlier calibrations: whole, of one night, each part made from the others as they are now."""

from dataclasses import replace
from pathlib import Path

import pytest

from sedmd.ledger.records import JobRow
from sedmd.plan.calibrations import age_nights, calibration_set, flux_calibration

FOLDER = Path("/redux/20190611")


def job(step: str, label: str = "", *inputs: tuple[str, str]) -> JobRow:
    return JobRow(
        key=f"key-{label or step}",
        night="20190611",
        step=step,
        label=label or step,
        state="done",
        reason="",
        detail="",
        tries=1,
        seconds=1.0,
        ended=None,
        inputs=inputs,
    )


WHOLE = [
    job("bias", "bias 0.1 MHz"),
    job("bias", "bias 2.0 MHz"),
    job("traces"),
    job("wavelength", "", ("traces", "key-traces/traces")),
    job("flat", "", ("traces", "key-traces/traces"), ("wavelength", "key-wavelength/wavelength")),
]


def made(jobs, for_night="20190612"):
    return calibration_set("20190611", jobs, folder=FOLDER, for_night=for_night)


def test_a_whole_set_names_its_files_and_its_age():
    found = made(WHOLE, for_night="20190614")
    assert found.as_option() == {"night": "20190611", "age_nights": 3}
    assert found.bias["bias 0.1 MHz"].path == FOLDER / "bias0.1.fits"
    assert found.bias["bias 2.0 MHz"].checksum == "key-bias 2.0 MHz/bias"
    assert (found.traces.path, found.flat.path) == (FOLDER / "traces.fits", FOLDER / "flat.fits")
    assert found.wavelength.checksum == "key-wavelength/wavelength"


@pytest.mark.parametrize("lacks", ["traces", "wavelength", "flat"])
def test_without_one_of_its_parts_it_is_no_set(lacks):
    assert made([one for one in WHOLE if one.step != lacks]) is None


def test_without_any_bias_it_is_no_set():
    assert made(WHOLE[2:]) is None


@pytest.mark.parametrize("step", ["wavelength", "flat"])
def test_parts_that_were_not_made_from_each_other_are_no_set(step):
    # the traces were made anew, and what rests on them was not (yet)
    jobs = [replace(one, inputs=(("traces", "key-older/traces"),)) if one.step == step else one for one in WHOLE]
    assert made(jobs) is None


def test_flux_calibration():
    assert flux_calibration("20190611", WHOLE, folder=FOLDER, for_night="20190612") is None
    found = flux_calibration("20190611", [job("fluxcal", "2 standards")], folder=FOLDER, for_night="20190701")
    assert found.as_option() == {"night": "20190611", "age_nights": 20}
    assert found.fluxcal.path == FOLDER / "std-correction.fits"


def test_age_counts_nights_over_months_and_years():
    assert age_nights("20181231", "20190101") == 1
    assert age_nights("20190228", "20190301") == 1
    assert age_nights("20200228", "20200301") == 2
