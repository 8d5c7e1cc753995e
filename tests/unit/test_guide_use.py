"""What the extraction and the flux calibration make of guider frames."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from astropy.io import fits

from sedmd.core.errors import NeedsObserver
from sedmd.core.job import Job
from sedmd.observation.calibrate import greyed
from sedmd.observation.decisions import _fit
from sedmd.observation.inputs import inputs_of
from sedmd.observation.seeing import TargetPrior, night_seeing
from sedmd.products.guide import GuideRecord, offset_in, read_guide, write_guide, zero_point_cards, zero_points_in
from sedmd.products.sensitivity import read_sensitivity, write_sensitivity
from sedmd.products.spectrum import read_spectrum, write_spectrum
from sedmd.reduce.guide.brightness import GreyFactor, ZeroPoint, level_of
from sedmd.reduce.target.place import Place
from sedmd.steps.extraction import extract_spectrum
from sedmd.steps.spectrum import calibrate_spectrum

from .test_steps_extraction import LANDED, PLACE, extraction
from .test_steps_spectrum import job as calibration

LINK = Place(x_arcsec=0.5, y_arcsec=1.0, spread_arcsec=0.35, source="12 exposures since 20211002")


def guided(job, at, *, link=LINK, error=0.1, source="guider", **more):
    """The job with a record that puts the target there in the field."""
    record = GuideRecord(
        source=source,
        east_arcsec=at[0] - link.x_arcsec,
        north_arcsec=at[1] - link.y_arcsec,
        error_arcsec=error,
        link=link,
        **more,
    )
    path = job.outputs["ext"].parent / "guide_ifu20211018_05_12_31.fits"
    write_guide(path, record, None, [])
    assert read_guide(path) == record
    return replace(job, inputs=dict(job.inputs) | {"guide": (path,)})


def test_a_target_beside_a_brighter_object_is_found_by_the_guider(tmp_path):
    # a star ten times as bright stands where targets fall as a rule, the target where the guider says
    both = {(PLACE.x_arcsec, PLACE.y_arcsec): 40000.0, (5.0, -4.0): 4000.0}
    bare = extraction(tmp_path, both)
    assert extract_spectrum(bare).figures["x [arcsec]"] == pytest.approx(PLACE.x_arcsec, abs=0.2)
    job = guided(bare, (5.1, -4.1))
    figures = extract_spectrum(job).figures
    assert (figures["x [arcsec]"], figures["y [arcsec]"]) == pytest.approx((5.0, -4.0), abs=0.1)
    assert figures["guider x [arcsec]"] == pytest.approx(4.6)
    _, header = read_spectrum(job.outputs["ext"])
    assert header["POSSRC"].startswith("by the guider frames") and header["GUIDSRC"] == "guider"
    assert (header["PRIORX"], header["PRIORY"]) == pytest.approx((5.1, -4.1))
    assert offset_in(header) == pytest.approx((4.6, -5.1))


def test_where_nothing_is_at_its_place_nothing_else_is_taken(tmp_path):
    job = guided(extraction(tmp_path, {LANDED: 40000.0}), (6.0, -5.0))
    with pytest.raises(NeedsObserver, match=r"no object within 1\.\d arcsec of .*guider.*1 other"):
        extract_spectrum(job)


def test_a_blind_pointing_is_recognised(tmp_path):
    job = guided(extraction(tmp_path, {LANDED: 4000.0}), (31.0, -22.0))
    with pytest.raises(NeedsObserver, match="outside the field"):
        extract_spectrum(job)


def test_what_is_not_known_well_does_not_overrule(tmp_path):
    # the acquisition frame knows to an arcsec: a bright object elsewhere is looked at, as without it
    job = guided(extraction(tmp_path, {LANDED: 4000.0}), (6.0, -5.0), error=1.0, source="acquisition")
    assert extract_spectrum(job).figures["x [arcsec]"] == pytest.approx(LANDED[0], abs=0.1)


def test_without_a_link_the_place_is_that_of_before(tmp_path):
    job = guided(extraction(tmp_path, {LANDED: 4000.0}), (6.0, -5.0), link=Place())
    figures = extract_spectrum(job).figures
    assert figures["confidence"] > 0.97
    _, header = read_spectrum(job.outputs["ext"])
    assert header["POSSRC"] == PLACE.source and header["GUIDEX"] == 6.0


def test_the_seeing_is_that_of_the_field_stars(tmp_path):
    scene = extraction(tmp_path, {LANDED: 4000.0})
    for fwhm in (1.82, 2.6):  # the image is of 1.8
        job = guided(scene, LANDED, seeing_arcsec=fwhm, seeing_error_arcsec=0.04)
        assert extract_spectrum(job).figures["quality"] == 1
        _, header = read_spectrum(job.outputs["ext"])
        assert header["SEESRC"] == "field stars" and header["SEEPRIOR"] == fwhm == header["RCFWHM"]
    record = GuideRecord(seeing_arcsec=2.0, seeing_error_arcsec=0.15)
    assert night_seeing([], {"SEEING": 3.0}, record).spread_arcsec == pytest.approx(0.25)
    assert night_seeing([], None, GuideRecord()) is None


def test_without_guider_frames_no_card_speaks_of_them(tmp_path):
    job = extraction(tmp_path, {LANDED: 4000.0})
    figures = extract_spectrum(job).figures
    _, header = read_spectrum(job.outputs["ext"])
    assert inputs_of(job).guide is None and not [name for name in figures if "guider" in name]
    ours = {"POSSRC", "PRIORX", "PRIORY", "PRIORERR", "SEESRC", "SEEPRIOR", "GUIDSRC", "GUIDEX", "GREYFAC"}
    assert not ours & set(header) and not [card for card in header if card.startswith(("RC", "STDZP"))]


def test_a_fit_with_such_a_place_comes_back_from_a_decision():
    prior = TargetPrior(places=(replace(LINK, measured=True), LINK))
    assert _fit(json.loads(json.dumps(asdict(prior))), "x") == prior
    old = json.loads(json.dumps(asdict(prior)))
    for place in old["places"]:
        del place["measured"]
    assert not any(place.measured for place in _fit(old, "x").places)


def points(mag, count=6):
    return {band: ZeroPoint(mag=mag, error=0.02, count=count) for band in "gri"}


def with_points(job, target, level):
    """The job of a calibration with zero points in the headers of both inputs."""
    spectrum, header = read_spectrum(job.one("ext"))
    write_spectrum(job.one("ext"), spectrum, header=header, cards=zero_point_cards(target))
    sensitivity = read_sensitivity(job.one("fluxcal"))
    write_sensitivity(job.one("fluxcal"), sensitivity, cards=zero_point_cards(level, begin="STDZP"))
    return job


def test_a_flux_is_brought_to_the_standard_stars_sky(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = calibration(tmp_path / "a")
    calibrate_spectrum(plain)
    before, old = read_spectrum(plain.outputs["sp"])
    job = with_points(calibration(tmp_path / "b"), points(24.0), points(24.25))
    assert calibrate_spectrum(job).figures["grey factor"].startswith("1.259 +-0.0")
    after, header = read_spectrum(job.outputs["sp"])
    factor = 10**0.1
    assert np.nanmax(np.abs(after.flux / (before.flux * factor) - 1)) < 1e-6
    assert np.nanmax(np.abs(after.error / (before.error * factor) - 1)) < 1e-6
    assert np.array_equal(after.sky, before.sky, equal_nan=True)
    assert header["GREYFAC"] == pytest.approx(factor) and header["GREYERR"] > 0
    assert "GREYFAC" not in old and "GREYERR" not in old


@pytest.mark.parametrize(
    "target, level",
    [
        (points(24.0, 1), points(24.25)),
        (points(24.0), points(24.25, 1)),
        ({}, points(24.0)),
        (points(24.0), {}),
    ],
)
def test_with_too_few_stars_the_bytes_are_those_of_before(tmp_path, target, level):
    job = calibration(tmp_path)
    calibrate_spectrum(job)
    before = read_spectrum(job.outputs["sp"])[0]
    calibrate_spectrum(with_points(job, target, level))
    after, header = read_spectrum(job.outputs["sp"])
    assert np.array_equal(after.flux, before.flux, equal_nan=True) and "GREYFAC" not in header
    assert greyed(after, None) is after


def test_cards_of_zero_points_come_back():
    given = points(24.1)
    header = fits.Header({card: value[0] for card, value in zero_point_cards(given).items()})
    assert zero_points_in(dict(header)) == given and zero_points_in(dict(header), begin="STDZP") == {}
    assert greyed.__doc__ and GreyFactor(factor=1.0, error=0.1).factor == 1.0


def test_the_level_of_a_flux_calibration_is_that_of_its_sky():
    # star two had 0.5 mag of clouds, came out fainter by so much, and says the same of the level
    stars = {"one": points(24.5), "two": points(24.0), "poor": points(20.0, 1), "rejected": points(18.0)}
    level = level_of(stars, {"one": 1.0, "two": 10**-0.2, "poor": 1.0})
    assert {band: point.mag for band, point in level.items()} == pytest.approx(dict.fromkeys("gri", 24.5))
    assert level["r"].error == pytest.approx(0.02 / np.sqrt(2)) and level["r"].count == 6
    assert level_of({}, {"one": 1.0}) == {} == level_of(stars, {})


def test_jobs_carry_it(tmp_path):
    job = Job(step="extract", night="20211018", label="x", inputs={"guide": (tmp_path / "g.fits",)}, outputs={})
    assert inputs_of(job).guide == tmp_path / "g.fits"
