"""The night's report: everything that happened is in it, once, within 120 columns."""

import json
from dataclasses import replace

import pytest
from astropy.io import fits
from tell_samples import (
    SNID,
    job,
    observed,
    state,
    write_cube_header,
    write_flux_calibration,
    write_products,
)

from sedmd.after.report.efficiency import BAND_NAMES
from sedmd.after.report.figures import night_figures
from sedmd.after.report.night_state import classified_text, write_report
from sedmd.after.report.nightreport import BestMatch, classification_of, make_report
from sedmd.after.report.reporttext import WIDTH, report_json, report_text
from sedmd.after.spectra import final_spectra
from sedmd.plan.plan import State
from sedmd.run.states import EarlierNight, Held, RejectedFrame


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / "20190612"
    folder.mkdir()
    return folder


def report(folder, told, classified=None, **more):
    spectra, errors = final_spectra(folder)
    return make_report(
        told,
        spectra,
        classified or {},
        night_figures(folder),
        bands=BAND_NAMES,
        as_of="2019-06-12T12:00:00+00:00",
        trouble=errors,
        **more,
    )


def line_of(text: str, name: str) -> str:
    (found,) = [line for line in text.splitlines() if f" {name} " in line]
    return found


def test_a_line_tells_a_target(night):
    write_products(night, "ZTF19abc", is_pair=True, method="psf A/B")
    found = {"ZTF19abc": BestMatch(type="Ia", subtype="norm", redshift=0.0512, rlap=12.3)}
    text = report_text(report(night, state(observed("ZTF19abc")), found))
    line = line_of(text, "ZTF19abc").split()
    assert line == [
        *("04:20", "ZTF19abc", "1800", "1.23", "psf", "A/B", "1", "20.5", "1.70", "yes", "ann", "2019A-I01"),
        *("Ia-norm", "0.0512", "12.3"),
    ]


@pytest.mark.parametrize("method", ["psf B", "ellipse"])
def test_one_exposure_of_a_pair_is_told_from_a_single(night, method):
    write_products(night, "ZTF19abc_obs1", method=method, half_of_pair="B")
    write_products(night, "ZTF19xyz_obs1")
    made = report(night, state())
    lines = {line.product: (line.method, line.half) for line in made.lines}
    assert lines == {"ZTF19abc_obs1": (f"{method.split()[0]} B", "B"), "ZTF19xyz_obs1": ("psf", "")}
    assert "one exposure of a pair without the other" in report_text(made)


def test_lines_stand_in_the_order_of_time(night):
    for name, utc in (("a", "2019-06-12 09:00:00.0"), ("b", "2019-06-11 23:30:00.0"), ("c", "2019-06-12 04:00:00.0")):
        write_products(night, name, utc=utc)
    assert [line.product for line in report(night, state()).lines] == ["b", "c", "a"]


def test_what_is_not_classified_says_why(night):
    write_products(night, "star", is_standard=True)
    write_products(night, "faint", quality=3)
    text = report_text(report(night, state()))
    assert "(standard)" in line_of(text, "star")
    assert "(Q3)" in line_of(text, "faint")


@pytest.mark.parametrize(
    ("meta", "shown"),
    [
        ({}, "yes"),
        ({"fluxcal": False}, "NO"),
        ({"cal_age_nights": 3}, "3 n"),
        ({"cal_age_nights": 3, "fluxcal_age_nights": 5}, "5 n"),
        ({"cal_age_nights": 3, "fluxcal": False}, "NO"),
    ],
)
def test_the_age_of_the_calibrations_is_in_the_line(night, meta, shown):
    write_products(night, "abc", **meta)
    cells = line_of(report_text(report(night, state())), "abc")
    assert cells[cells.index("1.70") + 5 :].startswith(shown)


def test_an_observation_without_a_spectrum_is_where_it_belongs(night):
    write_products(night, "done")
    made = report(
        night,
        state(
            observed("done"),
            observed("broken", "extract failed", "no trace"),
            observed("bad", "calibrate quarantined", "S/N"),
            observed("unclear", "extract awaiting observer", "two objects"),
            observed("later", "extract waiting", "the [B] exposure"),
        ),
    )
    assert [one.product for one in made.failed] == ["broken", "bad"]
    assert [one.product for one in made.observer] == ["unclear"]
    assert [one.product for one in made.pending] == ["later"]
    text = report_text(made)
    assert "broken 900 s, extract failed: no trace" in text
    assert "\nawaiting observer\n  unclear 900 s, extract awaiting observer: two objects\n" in text
    assert "\nin progress\n  later 900 s, extract waiting: the [B] exposure\n" in text


def test_a_provisional_spectrum_is_in_the_table_and_awaits_the_observer(night):
    write_products(night, "unclear", quality=0, provisional=True)
    waits = observed("unclear", "spectrum", "confidence 0.40: two objects")
    waits = replace(waits, calibrated=True, provisional="confidence 0.40: two objects")
    made = report(night, state(waits))
    assert [(line.product, line.quality, line.provisional) for line in made.lines] == [("unclear", 0, True)]
    assert [one.product for one in made.observer] == ["unclear"] and made.pending == () and made.lost_s == 0
    text = report_text(made)
    assert "\nawaiting observer\n  unclear 900 s, provisional: confidence 0.40: two objects\n" in text
    assert "with concerns" not in text
    write_products(night, "unclear_redo", step="observer", target="unclear")
    again = report(night, state(waits))
    assert again.observer == () and [(line.product, line.provisional) for line in again.lines] == [("unclear", False)]


def test_what_the_observer_placed_waits_for_nobody(night):
    """The pipeline's extraction still awaits the observer, while the observer's spectrum is there."""
    write_products(night, "unclear", step="observer")
    made = report(night, state(observed("unclear", "extract awaiting observer", "two objects")))
    assert made.observer == ()
    assert [line.product for line in made.lines] == ["unclear"]


def test_lost_time_is_what_brought_nothing(night):
    write_products(night, "good", quality=2, exptime_s=1000.0)
    write_products(night, "nothing", quality=4, exptime_s=1800.0)
    write_products(night, "bogus", quality=5, exptime_s=900.0)
    made = report(
        night, state(observed("broken", "cube failed", "?", 600.0), observed("open", "extract due", "", 60.0))
    )
    assert made.lost_s == 1800 + 900 + 600
    assert made.on_sky_s == 1000 + 1800 + 900 + 600 + 60
    assert "lost: 0.92 h" in report_text(made)


def test_the_instrument_is_in_it(night):
    write_flux_calibration(night, share=0.15)
    write_cube_header(night, "ifu20190612_04_00_00", FLEXX=0.4, SCATTLEV=0.9)
    whole = report_text(report(night, state()))
    text = " ".join(whole.split())
    assert "15.0 % at 450 nm" in text and "15.0 % at 850 nm" in text
    assert "flexure, median: x +0.40 px, y -0.10 px" in text
    assert "0.0010 electron/s per pixel" in text
    assert "no spectra yet" in text


def test_earlier_calibrations_and_trouble_are_told(night):
    (night / "sp_torn.fits").write_bytes(b"no FITS")
    told = state(
        fallback=EarlierNight(night="20190610", age_nights=2),
        flux_fallback=EarlierNight(night="20190611", age_nights=1),
        missing=("bias 0.1",),
        held=(Held(subject="x", reason="wrong field"),),
        rejected_frames=(RejectedFrame(frame="ifu1.fits", state="quarantined", reason="cut short"),),
        failed=(job("cube", "ifu2", State.FAILED, "no light"),),
    )
    text = report_text(report(night, told, account=["26 raw files: 26 good"]))
    for said in (
        "using bias, traces, wavelengths and flat from 20190610 (2 nights old)",
        "using the flux calibration from 20190611 (1 night old)",
        "missing: bias 0.1",
        "held: x: wrong field",
        "not used: ifu1.fits quarantined: cut short",
        "failed: cube ifu2: no light",
        "sp_torn.fits cannot be read",
        "26 raw files: 26 good",
    ):
        assert said in text


def test_what_the_pipeline_doubts_is_told_of_its_own_spectra_only(night):
    for name, reducer, step in (("mine", "sedmd", "calibrate"), ("hers", "Ada L.", "observer")):
        write_products(night, name, reducer=reducer, confidence=0.934)
        for card, value in (("STEP", step), ("DOUBT1", "the spectrum is faint (S/N 2.1 per bin)")):
            fits.setval(night / f"sp_{name}.fits", card, value=value)
    made = report(night, state())
    told = {line.product: (line.confidence, line.doubts) for line in made.lines}
    assert told == {"mine": (0.934, ("the spectrum is faint (S/N 2.1 per bin)",)), "hers": (None, ())}
    text = report_text(made)
    assert (
        "final without an observer, with concerns\n  mine: confidence 93 %; the spectrum is faint (S/N 2.1 per bin)"
        in text
    )
    assert "hers:" not in text


def test_no_line_is_longer_than_the_paper(night):
    long = "a" * 60
    write_products(night, long, program="p" * 40, reducer="r" * 40, method="m" * 40)
    found = {long: BestMatch(type="t" * 40, subtype="s" * 40, redshift=-0.12345, rlap=123.45)}
    told = state(observed("b" * 64, "extract failed", "word " * 100), missing=("bias " * 60,))
    text = report_text(report(night, told, found, account=["x" * 30 + " y" * 200]))
    assert max(map(len, text.splitlines())) <= WIDTH


def test_json_holds_the_same_and_is_strict(night):
    write_products(night, "abc", seeing_arcsec=float("nan"), airmass=None)
    made = report(night, state())
    told = json.loads(report_json(made), parse_constant=pytest.fail)
    assert told["lines"][0]["product"] == "abc"
    assert told["lines"][0]["seeing_arcsec"] is None and told["lines"][0]["airmass"] is None
    assert set(told["efficiency"]) == set(BAND_NAMES)


def test_the_same_state_gives_the_same_bytes_and_is_not_written_again(night):
    write_products(night, "abc")
    assert [path.name for path in write_report(report(night, state()), night)] == ["report.txt", "report.json"]
    inode = (night / "report.txt").stat().st_ino
    assert write_report(report(night, state()), night) == []
    assert (night / "report.txt").stat().st_ino == inode


def test_a_type_that_is_not_secure_has_a_question_mark(night):
    write_products(night, "abc")
    told = SNID | {"CLASSTYPE": "Ia", "CLASSSECURE": "False", "SNIDMATCHSUBTYPE": "-"}
    text = report_text(report(night, state(), {"abc": classification_of(told)}))
    assert " Ia? " in line_of(text, "abc") and "disagree" in text
    secure = classification_of(told | {"CLASSSECURE": "True"})
    assert (secure.label, secure.together) == ("Ia", "Ia")
    assert classification_of({"SNIDMATCHTYPE": "NONE", "CLASSSECURE": "False"}).label == "NONE"


def test_a_copy_tells_the_type_while_it_is_one(night):
    """What classifies leaves the spectrum as it is, and adds its lines to a copy."""
    write_products(night, "abc", snid=SNID)
    (night / "classified").mkdir()
    copy = (night / "abc_SEDM.txt").rename(night / "classified" / "abc_SEDM.txt")
    write_products(night, "abc")
    assert classified_text(night / "abc_SEDM.txt") == copy
    write_products(night, "abc", quality=3)  # the spectrum was made again
    assert classified_text(night / "abc_SEDM.txt") == night / "abc_SEDM.txt"
    assert classified_text(night / "nothing_SEDM.txt") == night / "nothing_SEDM.txt"


def test_a_classification_is_what_the_header_says():
    assert classification_of({}) is None
    assert classification_of({"SNIDMATCHTYPE": "NONE"}) == BestMatch(type="NONE")
    assert classification_of(SNID) == BestMatch(type="Ia", subtype="norm", redshift=0.0512, rlap=12.3)
    assert classification_of(SNID | {"SNIDMATCHRLAP": "nan", "SNIDMATCHREDSHIFT": "?"}).rlap is None


def test_persistence_is_the_weighted_mean_of_the_exposures_that_tell_it(night):
    assert report(night, state()).persistence is None
    for hour, cards in enumerate(({"PERSIST": 0.004, "PERSERR": 0.001}, {"PERSIST": 0.001, "PERSERR": 0.0005}, {})):
        write_cube_header(night, f"ifu20190612_0{hour}_00_00", **cards)
    made = report(night, state())
    assert made.persistence == pytest.approx(((0.004 + 4 * 0.001) / 5, 0.001 / 5**0.5))
    line = "left of an exposure in the next one (persistence): 0.160 +- 0.045 % of its light"
    assert line in report_text(made)
    assert json.loads(report_json(made))["persistence"] == pytest.approx(made.persistence)
