"""What headers and sources tell of an observation: each fact by itself, where it is told and where it is not."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.card import Undefined

from sedmd.core.config import AutomaticExtraction
from sedmd.core.job import Job
from sedmd.data.extinction import extinction_mag
from sedmd.observation.exposure import frame_of, gain_of_b, raw_name, to_mean_airmass
from sedmd.observation.extract import concerns_of, field_of, is_final, median_snr, quality_of
from sedmd.observation.inputs import FluxSource, Subject, inputs_of, subject_by_header, subject_of
from sedmd.observation.meta import (
    CARDS,
    Facts,
    airmass_a_less_b,
    airmass_or_assumed,
    calibrations_of,
    figures_of,
    in_order,
    mean_airmass,
)
from sedmd.observation.seeing import CLEAR_STAR, STAR_FWHM_ARCSEC, star_images
from sedmd.raw.frames import Kind
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.psf import Psf
from unit.reduce_scenes import make_cube
from unit.test_night import make
from unit.test_steps_extraction import CARDS as HEADER
from unit.test_steps_extraction import SPAXELS

WAVELENGTH = np.linspace(4000.0, 9000.0, 101)
TARGET = Subject(name="ZTF19abc")


@pytest.mark.parametrize(
    ("card", "value", "fact", "told", "otherwise"),
    [
        ("REQ_ID", 4711, "req_id", 4711, 0),
        ("REQ_ID", -999, "req_id", 0, 0),
        ("CALAGE", 3, "cal_age_nights", 3, 0),
        ("CALFALL", True, "cal_fallback", True, False),
        ("CALFALL", False, "cal_fallback", False, False),
        ("CALNIGHT", "20190611", "cal_night", "20190611", ""),
        ("P60PRID", "2019A-I0001", "program", "2019A-I0001", ""),
        ("LSFSIGMA", 1.1, "line_sigma_px", 1.1, None),
        ("TRFWHM", 2.4, "trace_fwhm_px", 2.4, None),
        ("FLEXX", -0.3, "flexure_x_px", -0.3, None),
        ("FLEXY", 0.2, "flexure_y_px", 0.2, None),
        ("ENDDOME", "closed", "dome_closed", True, False),
    ],
)
def test_each_fact_is_its_cards_and_has_a_value_where_the_card_is_lost(card, value, fact, told, otherwise):
    assert CARDS[fact]({card: value}) == told
    assert CARDS[fact]({}) == otherwise


def test_an_exposure_time_that_is_not_told_is_no_number():
    assert math.isnan(CARDS["exptime_s"]({})) and CARDS["exptime_s"]({"EXPTIME": 900}) == 900.0


def test_the_name_of_the_target_counts_before_the_object_that_was_typed():
    assert CARDS["name"]({"NAME": "ZTF19abc", "OBJECT": "x"}) == "ZTF19abc" and CARDS["name"]({"OBJECT": "x"}) == "x"


def facts(**changes):
    return Facts(frame="ifu20190612_04_07_07", **changes)


def test_airmass_of_what_tells_one():
    assert mean_airmass([facts(airmass=1.0), facts(airmass=1.3)]) == pytest.approx(1.15)
    assert mean_airmass([facts(), facts(airmass=1.3)]) == 1.3
    assert mean_airmass([facts()]) is None
    assert airmass_a_less_b([facts(airmass=1.5), facts(airmass=1.2)]) == pytest.approx(0.3)
    assert airmass_a_less_b([facts(), facts(airmass=1.2)]) == airmass_a_less_b([facts(airmass=1.2), facts()]) == 0.0
    assert airmass_or_assumed(1.4) == (1.4, False) and airmass_or_assumed(None) == (1.0, True)


def test_of_two_calibrations_the_older_is_told():
    new, old = facts(cal_night="20190612"), facts(cal_night="20190610", cal_age_nights=2)
    assert calibrations_of([new, old]) is old and calibrations_of([old, new]) is old
    assert calibrations_of([facts(), new]) is new and calibrations_of([facts(cal_age_nights=9)]) is None


def test_figures_of_one_exposure_and_of_a_pair():
    a = facts(name="typed", exptime_s=900.0, airmass=1.1, line_sigma_px=1.2, req_id=7, cal_night="20190612")
    one = figures_of([a], TARGET, WAVELENGTH)
    assert (one["target"], one["exptime_s"], one["is_pair"], one["is_standard"]) == ("ZTF19abc", 900.0, False, False)
    # bins of 50 Angstrom: 2.355 sigma of 1.2 bins, in nm
    assert one["sky_line_fwhm_nm"] == pytest.approx(2.355 * 1.2 * 50.0 / 10)
    assert "frame_b" not in one and "half_of_pair" not in one
    assert figures_of([a], replace(TARGET, name="", half="B"), WAVELENGTH)["half_of_pair"] == "B"
    assert figures_of([a], replace(TARGET, name=""), WAVELENGTH)["target"] == "typed"
    both = figures_of([a, replace(a, frame="b", exptime_s=1800.0)], TARGET, WAVELENGTH)
    assert (both["exptime_s"], both["is_pair"], both["frame_b"]) == (2700.0, True, "b")
    assert figures_of([facts()], TARGET, WAVELENGTH)["sky_line_fwhm_nm"] is None


def test_the_width_of_a_sky_line_is_that_of_the_bins_where_it_lies():
    wavelength = np.concatenate([np.arange(4000.0, 5000.0, 20.0), np.arange(5000.0, 9000.0, 40.0)])
    figures = figures_of([facts(line_sigma_px=1.0)], TARGET, wavelength)
    assert figures["sky_line_fwhm_nm"] == pytest.approx(2.355 * 4.0)


def test_figures_stand_in_the_order_of_a_header_and_what_is_no_number_is_unknown():
    ordered = in_order({"other": math.nan, "ra": "12:00", "target": "x", "mjd": math.inf, "airmass": 1.0})
    assert list(ordered.items()) == [("target", "x"), ("ra", "12:00"), ("mjd", None), ("airmass", 1.0), ("other", None)]


def exposure(*, level=10.0, exptime_s=900.0, seed=1, **changes):
    cube = make_cube_of(level, seed)
    return SimpleNamespace(look=SimpleNamespace(cube=cube, exptime_s=exptime_s), facts=facts(**changes))


def make_cube_of(level, seed):
    return replace(
        make_cube(SPAXELS, WAVELENGTH, np.full((WAVELENGTH.size, SPAXELS.q.size), level), seed=seed),
        flux=np.full((WAVELENGTH.size, SPAXELS.q.size), level, np.float32),
    )


def test_counts_of_b_follow_exposure_time_and_extinction():
    a, b = exposure(airmass=1.0), exposure(airmass=1.4, exptime_s=1800.0)
    lost = 10 ** (-0.4 * extinction_mag(WAVELENGTH) * 0.4)
    assert gain_of_b([a, b]) == pytest.approx(2.0 * lost)
    # from A at 1.0 to the mean airmass of 1.2 half of that is lost
    assert to_mean_airmass([a, b]) == pytest.approx(np.sqrt(lost))
    assert gain_of_b([a]) == to_mean_airmass([a]) == 1.0


def test_the_picture_of_a_pair_is_a_minus_b_for_the_exposure_of_a():
    a, b = exposure(level=10.0), exposure(level=6.0, exptime_s=1800.0)
    assert field_of([a]).values == pytest.approx(10.0)
    assert field_of([a, b]).values == pytest.approx(10.0 - 6.0 / 2)


def test_signal_to_noise_is_the_median_between_4500_and_8500():
    flux = np.where((WAVELENGTH > 4500) & (WAVELENGTH < 8500), 30.0, 900.0)
    flux[20] = np.nan
    spectrum = Spectrum(
        wavelength=WAVELENGTH, flux=flux, error=np.full(101, 2.0), sky=np.zeros(101), unit="electron / (s Angstrom)"
    )
    assert median_snr(spectrum) == 15.0


@pytest.mark.parametrize(("age", "words", "confidence"), [(1, "1 night", 0.977), (2, "2 nights", 0.974), (90, "", 0.8)])
def test_concerns_before_anything_is_looked_at(age, words, confidence):
    used = exposure(cal_night="20190611", cal_age_nights=age, cal_fallback=True)
    [concern] = concerns_of([exposure(), used], TARGET)
    assert concern.confidence == pytest.approx(confidence) and words in concern.why
    closed = replace(used.facts, dome_closed=True, cal_fallback=False)
    doubted = replace(TARGET, name_doubt="names contradict")
    both = concerns_of([exposure(), SimpleNamespace(facts=closed)], doubted)
    assert [(one.why.split()[0], one.confidence) for one in both] == [("names", 0.5), ("the", 0.9)]
    assert concerns_of([used], replace(doubted, standard=True)) == []
    assert concerns_of([exposure(cal_night="20190612")], TARGET) == []


def test_what_is_final_without_an_observer():
    found = SimpleNamespace(point=object(), confidence=0.6, quality=1)
    settings = AutomaticExtraction(min_confidence=0.6)
    star = replace(TARGET, standard=True)
    assert is_final(found, TARGET, settings) and is_final(found, star, settings)
    found.confidence = 0.5
    assert not is_final(found, TARGET, settings) and is_final(found, star, settings)
    found.confidence = 0.49
    assert not is_final(found, star, settings)
    assert not is_final(SimpleNamespace(point=None, confidence=1.0), TARGET, settings)


def test_half_of_a_pair_is_acceptable_at_best():
    half = replace(TARGET, half="A")
    grades = [quality_of(SimpleNamespace(quality=q), who) for who in (TARGET, half) for q in (1, 2, 3)]
    assert grades == [1, 2, 3, 2, 2, 3]
    assert quality_of(SimpleNamespace(quality=3), replace(TARGET, standard=True)) == 0


def seen(significance=18.0, fwhm=1.7, *, edge=5.0, x=0.0):
    psf = Psf(x_arcsec=x, y_arcsec=0.0, fwhm_arcsec=fwhm)
    return SimpleNamespace(psf=psf, significance=significance, edge_arcsec=edge)


LOW, HIGH = STAR_FWHM_ARCSEC


@pytest.mark.parametrize(
    ("sources", "width"),
    [
        ([seen()], 1.7),
        ([seen(CLEAR_STAR)], 1.7),
        ([seen(CLEAR_STAR - 0.1)], None),
        ([seen(fwhm=LOW)], LOW),
        ([seen(fwhm=LOW - 0.1)], None),
        ([seen(fwhm=HIGH)], HIGH),
        ([seen(fwhm=HIGH + 0.1)], None),
        ([seen(edge=1.7)], 1.7),
        ([seen(edge=1.6)], None),
        # the sharpest is the star; what lies in the wings of a brighter source does not tell
        ([seen(fwhm=2.5), seen(fwhm=1.5, x=9.0)], 1.5),
        ([seen(fwhm=2.5), seen(fwhm=1.5, x=5.1)], 1.5),
        ([seen(fwhm=2.5), seen(fwhm=1.5, x=5.0)], 2.5),
        ([seen(fwhm=2.5), seen(fwhm=1.5, x=-4.0)], 2.5),
    ],
)
def test_which_source_tells_the_image_of_a_star(sources, width):
    images = star_images([sources], None)
    assert (images and images[0].fwhm_arcsec) == width


def test_raw_names():
    assert raw_name(Path("e3d_crr_b_ifu20190612_04_07_07_ZTF19abc.fits")) == "ifu20190612_04_07_07"
    assert raw_name(Path("mine.fits")) == "mine"


@pytest.mark.parametrize("card", ["ABPAIR", "ADCSPEED", "AIRMASS", "ENDDOME", "REQ_ID"])
def test_a_card_without_a_value_says_no_more_than_one_that_is_lost(card):
    path = Path("e3d_crr_b_ifu20211018_05_12_31_ZTF21abcdefg.fits")
    header = fits.Header(HEADER)
    header.pop(card, None)
    lost = frame_of(path, header)
    header[card] = Undefined()
    assert (
        frame_of(path, header) == lost == frame_of(path, {key: value for key, value in HEADER.items() if key != card})
    )


@pytest.mark.parametrize(("kind", "standard"), [(Kind.STANDARD, True), (Kind.SCIENCE, False)])
def test_the_subject_is_what_the_first_header_says(kind, standard):
    first = make(0, "STD-Feige34" if standard else "x", kind=kind, star="feige34" if standard else "")
    later = make(20, "another", kind=Kind.SCIENCE if standard else Kind.STANDARD)
    assert subject_by_header([first, later]) == Subject(
        name=first.name, standard=standard, star="feige34" if standard else ""
    )


def test_a_half_is_told_of_a_pair_of_which_one_exposure_is_there():
    a, b = make(0, "x [A]"), make(20, "x [B]")
    assert [subject_by_header(frames).half for frames in ([a], [b], [a, b])] == ["A", "B", ""]
    assert subject_by_header([replace(a, pair=False)]).half == ""
    doubted = replace(b, contradiction="names contradict", name_doubtful=True)
    assert [subject_by_header([a, one]).name_doubt for one in (b, doubted)] == ["", "names contradict"]


def job(step="extract", **told):
    told = {"inputs": {}, "options": {}} | told
    return Job(step=step, night="20190612", label="x", outputs={}, **told)


def test_inputs_are_those_of_the_jobs():
    star, flux = Path("ext_STD.fits"), Path("std-correction.fits")
    options = {"name": "x", "standard": True, "star": "feige34", "half_of_pair": "A", "name_doubt": "?"}
    first = job(inputs={"star": (star,)}, options=options | {"min_confidence": 0.3, "pointing_arcsec": [1.0, 2.0]})
    made = inputs_of(first, job("calibrate", inputs={"fluxcal": (flux,)}))
    assert made.subject == Subject(name="x", standard=True, star="feige34", half="A", name_doubt="?")
    assert (made.star, made.by_headers) == (star, False)
    assert (made.settings.min_confidence, made.settings.pointing_arcsec) == (0.3, [1.0, 2.0])
    assert made.settings.seeing_arcsec == AutomaticExtraction().seeing_arcsec
    assert made.flux == FluxSource(path=flux, night="20190612")
    earlier = job("calibrate", inputs={"fluxcal": (flux,)}, options={"fluxcal": {"night": "20190610", "age_nights": 2}})
    assert inputs_of(first, earlier).flux == FluxSource(path=flux, night="20190610", age_nights=2, fallback=True)
    bare = inputs_of(job())
    assert (bare.star, bare.flux, bare.subject) == (None, None, Subject(name=""))
    assert subject_of(job(), name="typed").name == "typed" and subject_of(first, name="typed").name == "x"


def test_an_age_is_told_in_nights():
    source = FluxSource(path=None, night="20190610", age_nights=1)
    assert source.told == "flux calibration from 20190610 (1 night old)"
    assert replace(source, age_nights=2).told == "flux calibration from 20190610 (2 nights old)"
    assert (FluxSource(path=None, night="x").age_nights, FluxSource(path=None, night="x").fallback) == (0, False)
