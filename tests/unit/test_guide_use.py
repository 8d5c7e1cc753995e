"""What the extraction and the flux calibration make of guider frames."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from astropy.io import fits

from sedmd.after.deliver.outgoing import NOT_SENT
from sedmd.after.spectra import final_spectra
from sedmd.core.errors import NeedsObserver
from sedmd.core.job import Job
from sedmd.observation.calibrate import greyed
from sedmd.observation.decisions import DecisionFault, _fit
from sedmd.observation.exposure import read_exposure
from sedmd.observation.inputs import inputs_of
from sedmd.observation.seeing import TargetPrior, guided_places, guider_pixel, night_seeing, prior_cards
from sedmd.products.guide import GuideRecord, offset_in, read_guide, write_guide, zero_point_cards, zero_points_in
from sedmd.products.sensitivity import read_sensitivity, write_sensitivity
from sedmd.products.spectrum import read_spectrum, write_spectrum
from sedmd.products.target_positions import field_position_of
from sedmd.reduce.guide.brightness import GreyFactor, ZeroPoint, level_of, together
from sedmd.reduce.target.find import BAND_EDGES, find_in_bands
from sedmd.reduce.target.known_place import with_hidden
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import condense
from sedmd.reduce.target.seeing import Seeing
from sedmd.reduce.target.target import _off, _readings
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


NOD = (3.0, -4.0)


def nodded_pair(folder, places, guider, *, cards=True, later=None):
    """The job of a pair with these objects, the telescope nodded between; `guider`: where it sees the target, or None.

    Of A and B, arcsec in the field; the objects of B are where the nod puts those of A, or `later`.
    """
    inputs = {}
    for letter, sign in (("a", 0.0), ("b", 1.0)):
        here = folder / letter
        here.mkdir()
        moved = {
            (x + sign * NOD[0], y + sign * NOD[1]): flux
            for (x, y), flux in (later or places if sign else places).items()
        }
        # the telescope goes the other way than the object in the field
        offsets = {"RA_OFF": 90.0 - sign * NOD[0], "DEC_OFF": -110.0 - sign * NOD[1]} if cards else {}
        job = extraction(here, moved, ABPAIR=True, IMGSET=letter.upper(), **offsets)
        inputs[f"cube_{letter}"] = job.inputs["cube"]
        at = guider["ab".index(letter)]
        if at is not None:
            inputs[f"guide_{letter}"] = guided(job, at).inputs["guide"]
    return replace(job, inputs=inputs)


@pytest.mark.parametrize("frames", ["AB", "A", "B"])
def test_a_pairs_target_beside_a_brighter_object_is_found_by_the_guider(tmp_path, frames):
    # the brighter star is where targets fall as a rule: of a pair, midway between A and B
    x, y = PLACE.x_arcsec - NOD[0] / 2, PLACE.y_arcsec - NOD[1] / 2
    both = {(x, y): 40000.0, (x - 4.0, y - 2.0): 4000.0}
    at = [(x - 3.9, y - 2.1), (x - 3.9 + NOD[0], y - 2.1 + NOD[1])]
    told = [place if letter in frames else None for letter, place in zip("AB", at, strict=True)]
    job = nodded_pair(tmp_path, both, told)
    figures = extract_spectrum(job).figures
    assert (figures["x [arcsec]"], figures["y [arcsec]"]) == pytest.approx((x - 4.0, y - 2.0), abs=0.1)
    _, header = read_spectrum(job.outputs["ext"])
    assert header["POSSRC"].startswith("by the guider frames")
    assert (offset_in(header) is not None, offset_in(header, half="B") is not None) == ("A" in frames, "B" in frames)
    bare = replace(job, inputs={role: path for role, path in job.inputs.items() if role.startswith("cube")})
    assert extract_spectrum(bare).figures["x [arcsec]"] == pytest.approx(x, abs=0.2)


def test_a_pair_without_a_target_at_its_place_takes_no_other_object(tmp_path):
    job = nodded_pair(tmp_path, {(0.0, 3.0): 9000.0}, [(4.0, 3.0), (4.0 + NOD[0], 3.0 + NOD[1])])
    figures = extract_spectrum(job).figures
    assert figures["quality"] == 4 and figures["role"] == "pair"
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert (header["XPOSB"] - header["XPOS"], header["YPOSB"] - header["YPOS"]) == pytest.approx(NOD)
    assert abs(pull(spectrum)) < 4


def test_off_is_off_in_either_exposure():
    a = GuideRecord(source="guider", east_arcsec=-1.0, north_arcsec=0.0, error_arcsec=0.1, link=LINK)
    (place,) = guided_places([a, replace(a, east_arcsec=1.0)], None)
    assert place.each == ((-0.5, 1.0), (1.5, 1.0)) and place.move == (2.0, 0.0)
    # nearly at its place in the mean, in neither exposure
    points = [(0.5, 1.0), (0.7, 1.0)]
    (reading,) = _readings(points, place)
    assert reading == ((pytest.approx(-0.4), pytest.approx(1.0)), 1.0)
    assert _off(points, place, [reading]) == pytest.approx(1.0)


def test_the_guider_knows_the_nod_where_the_header_does_not(tmp_path):
    # without offsets any two objects might be one; of two that change, the one is in B as bright as the other was
    at, other = (-1.0, 1.5), (3.0, -1.0)
    there = [at, (at[0] + NOD[0], at[1] + NOD[1])]
    changing = {at: 4000.0, other: 6000.0}, {at: 6000.0, other: 4000.0}
    job = nodded_pair(tmp_path, changing[0], there, cards=False, later=changing[1])
    figures = extract_spectrum(job).figures
    assert figures["x [arcsec]"] == pytest.approx(at[0], abs=0.1) and figures["S/N"] > 10


def test_an_object_that_is_there_in_one_exposure_of_a_pair_only_is_no_empty_place(tmp_path):
    at = (-1.0, 1.5)
    job = nodded_pair(tmp_path, {at: 4000.0}, [at, (at[0] + NOD[0], at[1] + NOD[1])], later={(6.0, 5.0): 9000.0})
    with pytest.raises(NeedsObserver, match="may be there"):
        extract_spectrum(job)


def test_a_guider_is_asked_before_an_acquisition_frame():
    good = GuideRecord(source="guider", east_arcsec=1.0, north_arcsec=0.0, error_arcsec=0.1, link=LINK)
    rough = replace(good, source="acquisition", error_arcsec=1.02)
    (place,) = guided_places([rough, good], None)
    assert place.measured and place.each == (None, (1.5, 1.0))
    (place,) = guided_places([rough, None], None)
    assert not place.measured and place.source.startswith("by the acquisition frames")
    assert guided_places([None, None], None) == () == guided_places([], None)


def test_the_star_of_a_pair_tells_the_link_by_each_exposure():
    star = {"XPOS": 1.0, "YPOS": 2.0, "GUIDEX": 0.5, "GUIDEY": 0.5, "XPOSB": 4.0, "YPOSB": -1.0}
    assert guider_pixel(star) == pytest.approx((0.5, 1.5))
    assert guider_pixel(star | {"GUIDEXB": 3.1, "GUIDEYB": -2.9}) == pytest.approx((0.7, 1.7))
    assert guider_pixel({"XPOS": 1.0, "YPOS": 2.0}) is None


def pull(spectrum):
    """The mean flux in units of its error."""
    good = np.isfinite(spectrum.flux)
    return spectrum.flux[good].mean() / np.sqrt((spectrum.error[good] ** 2).sum()) * good.sum()


def test_where_nothing_is_at_its_place_nothing_else_is_taken_and_that_is_told(tmp_path):
    job = guided(extraction(tmp_path, {LANDED: 40000.0}), (6.0, -5.0))
    figures = extract_spectrum(job).figures
    assert figures["quality"] == 4 and "provisional" not in figures
    assert re.match(r"no object within 1\.\d arcsec of .*guider.*1 other", figures["doubts"])
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert header["OBJSEEN"] is False and header["QUALITY"] == 4 and "PROVIS" not in header
    assert header["DOUBT1"] == figures["doubts"] and (header["XPOS"], header["YPOS"]) == (6.0, -5.0)
    # a limit: nothing is there, within the errors
    assert abs(pull(spectrum)) < 4 and figures["S/N"] < 1
    # it teaches nobody where targets are
    assert field_position_of(figures, job.night) is None


def test_an_empty_place_is_told_in_what_is_calibrated_and_never_sent_nor_classified(tmp_path):
    job = guided(extraction(tmp_path, {LANDED: 40000.0}), (6.0, -5.0))
    extract_spectrum(job)
    (tmp_path / "cal").mkdir()
    step = calibration(tmp_path / "cal")
    outputs = {"sp": tmp_path / "sp_ZTF21abcdefg_obs1.fits", "ascii": tmp_path / "ZTF21abcdefg_obs1_SEDM.txt"}
    calibrate_spectrum(replace(step, inputs={"ext": (job.outputs["ext"],)}, outputs=outputs))
    _, header = read_spectrum(outputs["sp"])
    assert header["OBJSEEN"] is False and header["QUALITY"] == 4 and header["DOUBT1"].startswith("no object within")
    ((one,), _) = final_spectra(tmp_path)
    assert not one.usable and NOT_SENT[one.quality] == "quality 4 (no object visible)"


@pytest.mark.parametrize(
    "place, cards",
    [
        ({"x_arcsec": 0.0}, {"ENDDOME": "CLOSED"}),  # nobody knows what was seen through it
        ({"x_arcsec": 0.0, "spread_arcsec": 1.4}, {}),  # the target may be elsewhere
        ({"x_arcsec": 12.6, "y_arcsec": 0.0}, {}),  # half its light would be outside
    ],
)
def test_what_is_not_sure_to_be_empty_awaits_the_observer(tmp_path, place, cards):
    link = replace(LINK, **place)
    record = GuideRecord(source="guider", east_arcsec=0.0, north_arcsec=0.0, error_arcsec=0.1, link=link)
    job = extraction(tmp_path, {}, **cards)
    path = tmp_path / "guide_ifu20211018_05_12_31.fits"
    write_guide(path, record, None, [])
    with pytest.raises(NeedsObserver):
        extract_spectrum(replace(job, inputs=dict(job.inputs) | {"guide": (path,)}))


def test_what_may_be_there_is_not_called_empty(tmp_path):
    # too faint for the search, and too bright to deny it
    job = guided(extraction(tmp_path, {LANDED: 40000.0, (6.0, -5.0): 55.0}), (6.1, -5.0))
    with pytest.raises(NeedsObserver, match=r"something of \d+ sigma may be there"):
        extract_spectrum(job)


@pytest.mark.parametrize("ratio", [1.5, 4.0])
def test_a_target_that_a_brighter_star_hides_is_found_at_its_place(tmp_path, ratio):
    # the search sees one object, between the two
    at, beside = (1.0, 1.0), (-0.7, 2.2)
    job = guided(extraction(tmp_path, {at: 4000.0, beside: ratio * 4000.0}), (1.1, 0.9))
    bare = extract_spectrum(replace(job, inputs={"cube": job.inputs["cube"]})).figures
    assert np.hypot(bare["x [arcsec]"] - at[0], bare["y [arcsec]"] - at[1]) > 1.0
    figures = extract_spectrum(job).figures
    assert (figures["x [arcsec]"], figures["y [arcsec]"]) == pytest.approx(at, abs=0.15)
    spectrum, _ = read_spectrum(job.outputs["ext"])
    alone = guided(extraction(tmp_path, {at: 4000.0}), at)
    extract_spectrum(alone)
    whole, _ = read_spectrum(alone.outputs["ext"])
    assert np.nanmedian(spectrum.flux / whole.flux) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("light, hidden", [(10000.0, False), (40000.0, True)])
def test_a_trace_of_light_beside_a_bright_star_is_no_source(tmp_path, light, hidden):
    # a twentieth of the star's light: no model of its image is that good
    job = extraction(tmp_path, {(1.0, 1.0): light, (-0.8, 2.2): 200000.0})
    look = read_exposure(job.one("cube")).look
    bands = condense(look.cube, look.refraction, BAND_EDGES)
    first = find_in_bands(bands, look.cube.spaxels)[:1]
    found = with_hidden(bands, look.cube.spaxels, first, (1.0, 1.0), reach_arcsec=1.3, seeing=Seeing(fwhm_arcsec=1.8))
    places = [(one.psf.x_arcsec, one.psf.y_arcsec) for one in found]
    assert any(np.hypot(x - 1.0, y - 1.0) < 0.3 for x, y in places) == hidden and (found == first) == (not hidden)
    # nor does what the star's image left behind stand for what is there
    left = replace(first[0], psf=replace(first[0].psf, x_arcsec=1.3, y_arcsec=0.6), amplitude=0.01 * first[0].amplitude)
    again = with_hidden(
        bands, look.cube.spaxels, [*first, left], (1.0, 1.0), reach_arcsec=1.3, seeing=Seeing(fwhm_arcsec=1.8)
    )
    assert (left not in again) == hidden


def test_a_lone_star_beside_the_place_hides_nothing(tmp_path):
    for number, beside in enumerate([(1.0, 3.2), (-1.6, 1.0), (3.9, 2.6)]):
        (tmp_path / f"{number}").mkdir()
        job = guided(extraction(tmp_path / f"{number}", {beside: 40000.0}), (1.0, 1.0))
        assert extract_spectrum(job).figures["quality"] == 4


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
    assert night_seeing([], {"SEEING": 3.0}, [record]).spread_arcsec == pytest.approx(0.25)
    assert night_seeing([], None, [GuideRecord()]) is None


def test_without_guider_frames_no_card_speaks_of_them(tmp_path):
    job = extraction(tmp_path, {LANDED: 4000.0})
    figures = extract_spectrum(job).figures
    _, header = read_spectrum(job.outputs["ext"])
    assert not inputs_of(job).guides and not [name for name in figures if "guider" in name]
    ours = {"POSSRC", "PRIORX", "PRIORY", "PRIORERR", "SEESRC", "SEEPRIOR", "GUIDSRC", "GUIDEX", "GREYFAC"}
    assert not ours & set(header) and not [card for card in header if card.startswith(("RC", "STDZP"))]


def test_a_fit_with_such_a_place_comes_back_from_a_decision():
    prior = TargetPrior(places=(replace(LINK, measured=True), LINK))
    assert _fit(json.loads(json.dumps(asdict(prior))), "x") == prior
    old = json.loads(json.dumps(asdict(prior)))
    for place in old["places"]:
        del place["measured"], place["each"]
    assert not any(place.measured for place in _fit(old, "x").places)


def test_a_fit_of_a_pair_comes_back_from_a_decision_and_nonsense_does_not():
    prior = TargetPrior(places=(replace(LINK, measured=True, each=((0.1, -0.25), None)),))
    table = json.loads(json.dumps(asdict(prior)))
    assert _fit(table, "x") == prior
    for each in ([None, None], [[0, 1]], [[0, 1, 2], None], [["0", 1], None], [[0, 1], [0, 1], [0, 1]], [0, 1], 7):
        table["places"][0]["each"] = each
        with pytest.raises(DecisionFault, match="each"):
            _fit(table, "x")


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


def test_the_zero_points_of_a_pair_are_of_the_mean_of_its_light():
    same = together([points(24.0, 7), points(24.0, 6)], [600.0, 600.0])
    assert same["g"].mag == pytest.approx(24.0) and same["g"].count == 6
    assert same["g"].error == pytest.approx(0.02 / np.sqrt(2))
    # B lost half its light to clouds: the mean has three quarters
    half = 2.5 * np.log10(2)
    clouded = together([points(24.0), points(24.0 - half)], [600.0, 600.0])["r"]
    assert clouded.mag == pytest.approx(24.0 + 2.5 * np.log10(0.75)) and clouded.error > 0.07
    # and of three times A's length, it counts as much more
    longer = together([points(24.0), points(24.0 - half)], [600.0, 1800.0])["r"]
    assert longer.mag == pytest.approx(24.0 + 2.5 * np.log10(0.25 + 0.75 / 2))
    assert set(together([points(24.0), {"g": points(24.0)["g"]}], [1.0, 1.0])) == {"g"}
    assert together([points(24.0), {}], [1.0, 1.0]) == {} == together([], [])


def test_a_pair_carries_the_cards_of_both_exposures():
    a = GuideRecord(
        source="guider", east_arcsec=1.0, north_arcsec=2.0, error_arcsec=0.1, link=LINK, zero_points=points(24.0)
    )
    b = replace(a, east_arcsec=4.0, zero_points=points(23.0), seeing_arcsec=1.5, seeing_error_arcsec=0.1)
    cards = prior_cards(TargetPrior(places=guided_places([a, b], None)), [a, b], [600.0, 600.0])
    assert (cards["GUIDEX"][0], cards["GUIDEXB"][0], cards["RCFWHMB"][0]) == (1.0, 4.0, 1.5)
    assert 23.0 < cards["RCZPG"][0] < 24.0 and cards["SEESRC"][0] == "field stars"
    # where one exposure has no stars nobody knows what the other's clouds did to the mean
    assert "RCZPG" not in prior_cards(TargetPrior(), [a, None], [600.0, 600.0])
    assert prior_cards(TargetPrior(), [], []) == {} == prior_cards(TargetPrior(), [None, None], [1.0, 1.0])
    header = fits.Header({name: value[0] for name, value in cards.items()})
    assert offset_in(header, half="B") == (4.0, 2.0)


def test_jobs_carry_it(tmp_path):
    job = Job(step="extract", night="20211018", label="x", inputs={"guide": (tmp_path / "g.fits",)}, outputs={})
    assert inputs_of(job).guides == (tmp_path / "g.fits",)
    pair = replace(job, inputs={"cube_a": (tmp_path,), "cube_b": (tmp_path,), "guide_b": (tmp_path / "g.fits",)})
    assert inputs_of(pair).guides == (None, tmp_path / "g.fits")
    assert inputs_of(replace(pair, inputs={"cube_a": (tmp_path,), "cube_b": (tmp_path,)})).guides == ()
