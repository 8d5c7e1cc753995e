"""From a cube with the cards of a real frame to a spectrum: found by where targets land, not by the offset cards."""

import re

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits

from sedmd.core.errors import NeedsObserver
from sedmd.core.job import Job
from sedmd.observation.host_cubes import place_in
from sedmd.observation.load import load
from sedmd.products.cube import write_cube
from sedmd.products.spectrum import read_spectrum
from sedmd.products.target_positions import field_position_of, place_cards
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target.place import Place
from sedmd.steps.extraction import extract_spectrum
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share

WAVELENGTH = np.linspace(3900.0, 9100.0, 120)
SPAXELS = hex_spaxels(19)
#: A science single as the published headers of 2018 to 2021 have them, but at the zenith, as its airmass says: no
#: refraction is expected, and none is drawn.
CARDS = {
    "EXPTIME": 2160.0,
    "ADCSPEED": 0.1,
    "UTC": "2021-10-18T05:12:31.4",
    "JD": 2459505.7170301,
    "MJD_OBS": 59505.2170301,
    "RA": "03:14:18.02",
    "DEC": "+31:06:41.3",
    "TEL_RA": "03:14:18.02",
    "TEL_DEC": "+31:06:41.3",
    "OBJRA": "03:14:26.4017",
    "OBJDEC": "+31:08:52.88",
    "RA_OFF": -107.6,
    "DEC_OFF": -131.6,
    "AIRMASS": 1.0,
    "ENDAIR": 1.0,
    "TEL_PA": 0.0,
    "END_PA": 0.0,
    "DOMEST": "open",
    "OBJECT": "ZTF21abcdefg [A]",
    "NAME": "ZTF21abcdefg",
    "ABPAIR": False,
    "IMGSET": "A",
    "REQ_ID": 20211018050355123,
}
TARGET = SkyCoord("03h14m26.4017s +31d08m52.88s")
LANDED = (-0.7, 3.1)
PLACE = Place(x_arcsec=-1.0, y_arcsec=3.4, spread_arcsec=0.9, source="12 exposures since 20211002")


def star(x, y):
    """Share of a star's light in each spaxel, (n_wave, n_spaxel): sharper in the red, as the air makes it."""
    nodes = np.linspace(WAVELENGTH[0], WAVELENGTH[-1], 5)
    images = np.array([moffat_share(SPAXELS, x, y, 1.8 * (w / 6500.0) ** -0.2, fine=3) for w in nodes])
    return np.array([np.interp(WAVELENGTH, nodes, column) for column in images.T]).T


def extraction(folder, places, *, place=PLACE, options=None, **cards):
    """The job of a cube with stars of this light at these places."""
    field = np.full((WAVELENGTH.size, SPAXELS.q.size), 150.0)
    for (x, y), flux in places.items():
        field = field + flux * star(x, y)
    cube = make_cube(SPAXELS, WAVELENGTH, field, seed=1)
    header = fits.Header({name: value for name, value in (CARDS | cards).items() if value is not None})
    path = folder / "e3d_crr_b_ifu20211018_05_12_31_ZTF21abcdefg.fits"
    write_cube(
        path,
        cube,
        header=header,
        cards={"CALNIGHT": "20211018", "CALAGE": 0, "CALFALL": False} | place_cards(header, place),
    )
    return Job(
        step="extract",
        night="20211018",
        label="ZTF21abcdefg_obs1",
        inputs={"cube": (path,)},
        outputs={"ext": folder / "ext_ZTF21abcdefg_obs1.fits"},
        options={
            "name": "ZTF21abcdefg",
            "standard": False,
            "min_confidence": 0.97,
            "pointing_arcsec": None,
            "seeing_arcsec": 1.8,
        }
        | (options or {}),
    )


def provisional(job):
    """Why the spectrum of a job is provisional; it has no grade, and tells nothing of where targets are expected."""
    figures = extract_spectrum(job).figures
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert "quality" not in figures and field_position_of(figures, job.night) is None
    assert spectrum.meta["quality"] == 0 and header["PROVIS"] is True
    assert header["DOUBT1"] in figures["provisional"]
    told = re.match(r"confidence (0\.\d\d): ", figures["provisional"])
    assert told is not None and float(told[1]) == pytest.approx(header["CONFID"], abs=0.0051)
    return figures["provisional"]


def test_a_provisional_spectrum_is_the_same_light_without_a_grade(tmp_path):
    sure = extraction(tmp_path, {LANDED: 4000.0})
    extract_spectrum(sure)
    final, header = read_spectrum(sure.outputs["ext"])
    assert "PROVIS" not in header
    unsure = extraction(tmp_path, {LANDED: 4000.0}, ENDDOME="closed")
    provisional(unsure)
    np.testing.assert_array_equal(read_spectrum(unsure.outputs["ext"])[0].flux, final.flux)
    # a standard star that is not safe calibrates nothing
    with pytest.raises(NeedsObserver):
        extract_spectrum(extraction(tmp_path, {(9.5, 9.5): 300.0}, options={"standard": True, "star": "hz44"}))


@pytest.mark.parametrize("offsets", [{}, {"RA_OFF": 0.0, "DEC_OFF": 0.0}, {"RA_OFF": None, "DEC_OFF": -999.0}])
def test_a_clear_target_is_final_whatever_its_offset_cards_say(tmp_path, offsets):
    job = extraction(tmp_path, {LANDED: 4000.0}, **offsets)
    figures = extract_spectrum(job).figures
    assert figures["confidence"] > 0.97 and "doubts" not in figures and figures["quality"] == 1
    landed = field_position_of(figures, job.night)
    assert (landed.x_arcsec, landed.y_arcsec) == pytest.approx(LANDED, abs=0.1)


@pytest.mark.parametrize("exptime_s", [2160.0, 540.0])
def test_the_spectrum_is_what_arrives_in_a_second(tmp_path, exptime_s):
    job = extraction(tmp_path, {LANDED: 4000.0}, EXPTIME=exptime_s)
    extract_spectrum(job)
    spectrum, _ = read_spectrum(job.outputs["ext"])
    assert np.nanmedian(spectrum.flux) == pytest.approx(4000.0 / exptime_s, rel=0.03)
    assert np.nanmedian(spectrum.sky) == pytest.approx(150.0 / cell_area(SPAXELS) / exptime_s, rel=0.03)


def test_the_spectrum_has_the_targets_position_and_the_cube_that_of_its_field(tmp_path):
    job = extraction(tmp_path, {LANDED: 4000.0})
    extract_spectrum(job)
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert (header["OBJRA"], header["OBJDEC"]) == (spectrum.meta["ra"], spectrum.meta["dec"])
    assert (spectrum.meta["ra"], spectrum.meta["dec"]) == (CARDS["OBJRA"], CARDS["OBJDEC"])
    seen = load("ZTF21abcdefg_obs1", list(job.inputs["cube"]))
    assert (seen.meta["ra"], seen.meta["dec"]) == (CARDS["OBJRA"], CARDS["OBJDEC"])
    middle = SkyCoord(*seen.centre_deg, unit="deg")
    # the middle of the field lies 1 arcsec East and 3.4 South of where targets land
    east, north = middle.spherical_offsets_to(TARGET)
    assert (east.arcsec, north.arcsec) == pytest.approx((-1.0, 3.4), abs=0.01)


def test_where_nothing_was_learned_a_target_alone_is_final_and_one_of_two_is_not(tmp_path):
    assert extract_spectrum(extraction(tmp_path, {LANDED: 4000.0}, place=Place())).figures["quality"] == 1
    two = {LANDED: 4000.0, (5.0, -4.0): 3000.0}
    assert "may be the target, or that at" in provisional(extraction(tmp_path, two, place=Place()))
    assert extract_spectrum(extraction(tmp_path, two)).figures["confidence"] > 0.9


def test_a_blind_pointing_shows_another_object_or_none_and_neither_is_taken(tmp_path):
    with pytest.raises(NeedsObserver, match="no object stands out"):
        extract_spectrum(extraction(tmp_path, {}))
    assert "arcsec from the expected position" in provisional(extraction(tmp_path, {(6.0, -4.0): 4000.0}))


def cutout(folder, east, north):
    """An image of a star of FWHM 1.19 arcsec so far from the target."""
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = TARGET.ra.deg, TARGET.dec.deg
    header["CRPIX1"] = header["CRPIX2"] = 81.0
    header["CDELT1"], header["CDELT2"] = -0.25 / 3600, 0.25 / 3600
    rows, columns = np.indices((161, 161))
    x, y = -0.25 * (columns - 80), 0.25 * (rows - 80)
    alpha = 1.19 / (2 * np.sqrt(2 ** (1 / 3.0) - 1))
    values = (1 + ((x - east) ** 2 + (y - north) ** 2) / alpha**2) ** -3.0
    values += np.random.default_rng(2).normal(0, 1e-3, values.shape)
    folder.mkdir(parents=True)
    fits.PrimaryHDU(values.astype(np.float32), header=header).writeto(folder / "ps1_r.fits")


def test_a_host_in_cutouts_is_taken_off_and_named(tmp_path):
    """What stands 1.6 arcsec West in the images stands in the cube, and the target is told from it."""
    cutout(tmp_path / "cut" / "ZTF21abcdefg", -1.6, 0.0)
    (tmp_path / "cut" / "ZTF21abcdefg" / "ps1_g.fits").write_text("half a file")
    beside = (LANDED[0] - 1.6, LANDED[1])
    options = {"cutouts": str(tmp_path / "cut"), "min_confidence": 0.0}
    job = extraction(tmp_path, {LANDED: 4000.0, beside: 3000.0}, options=options)
    result = extract_spectrum(job)
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert np.nanmedian(spectrum.flux) == pytest.approx(4000.0 / 2160.0, rel=0.04)
    assert header["HOSTSRC"] == "images r" and 0.5 < header["CONTRAST"] < 0.95
    assert header["CONTRAST"] == pytest.approx(1 / (1 + header["HOSTFRAC"]))
    assert np.nanmedian(spectrum.host / spectrum.flux) == pytest.approx(header["HOSTFRAC"], rel=0.3)
    (warning,) = result.warnings
    assert "not used" in warning and "ps1_g.fits" in warning


def earlier_cube(folder, night, places, *, place=PLACE, exptime=2160.0, **cards):
    """A cube of the same target from another night, where an observer would put it."""
    field = np.full((WAVELENGTH.size, SPAXELS.q.size), 150.0)
    for (x, y), flux in places.items():
        field = field + flux * star(x, y)
    header = fits.Header(CARDS | {"EXPTIME": exptime} | cards)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"e3d_crr_b_ifu{night}_05_12_31_ZTF21abcdefg.fits"
    write_cube(path, make_cube(SPAXELS, WAVELENGTH, field, seed=6), header=header, cards=place_cards(header, place))
    return path


def test_a_host_in_a_cube_of_another_epoch_goes_before_images(tmp_path):
    """The field lay 1.3 arcsec elsewhere then; a cube within 60 nights, and one of another field, are told."""
    own = tmp_path / "cut" / "ZTF21abcdefg"
    beside = (LANDED[0] - 1.6, LANDED[1])
    then = (beside[0] + 1.2, beside[1] - 0.5)
    cutout(own, -1.6, 0.0)
    earlier_cube(own, "20190301", {then: 9000.0})
    earlier_cube(own, "20190302", {(5.0, 5.0): 9000.0}, exptime=600.0)
    earlier_cube(own, "20211130", {then: 9000.0}, exptime=9000.0)
    earlier_cube(own, "20200101", {then: 9000.0}, exptime=9000.0, OBJDEC="+31:09:22.88")
    options = {"cutouts": str(tmp_path / "cut"), "min_confidence": 0.0}
    job = extraction(tmp_path, {LANDED: 4000.0, beside: 3000.0}, options=options)
    result = extract_spectrum(job)
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert header["HOSTSRC"] == "cube 20190301"
    assert np.nanmedian(spectrum.flux) == pytest.approx(4000.0 / 2160.0, rel=0.05)
    close, far = sorted(result.warnings, key=lambda text: "middle" in text)
    assert "ifu20211130" in close and "43 nights" in close and "ifu20200101" in far


def test_where_in_a_cube_a_position_falls():
    header = CARDS | {"PLACEX": -1.0, "PLACEY": 3.4}
    assert place_in(header, (TARGET.ra.deg, TARGET.dec.deg)) == pytest.approx((-1.0, 3.4), abs=0.01)
    moved = TARGET.spherical_offsets_by(3 * units.arcsec, -2 * units.arcsec)
    assert place_in(header, (moved.ra.deg, moved.dec.deg)) == pytest.approx((2.0, 1.4), abs=0.01)
    assert place_in({}, (10.0, 10.0)) is None


def test_without_cutouts_of_a_target_nothing_changes(tmp_path):
    contents = []
    for number, options in enumerate(({}, {"cutouts": str(tmp_path / "nowhere")})):
        job = extraction(tmp_path / str(number), {LANDED: 4000.0}, options=options)
        extract_spectrum(job)
        spectrum, header = read_spectrum(job.outputs["ext"])
        contents.append(spectrum)
        assert "HOSTSRC" not in header and "CONTRAST" not in header and spectrum.host is None
    for name in ("flux", "error", "sky"):
        assert np.array_equal(*(getattr(one, name) for one in contents), equal_nan=True)


def test_the_nights_star_tells_of_a_jump(tmp_path):
    """Until the camera was touched targets landed at one place, the night's star and its target at another."""
    moved = (6.0, -4.5)
    job = extraction(tmp_path, {moved: 4000.0})
    provisional(job)
    star = tmp_path / "ext_STD-HZ44_obs1.fits"
    fits.PrimaryHDU(header=fits.Header({"XPOS": 6.3, "YPOS": -5.1, "SEEING": 1.8, "AIRMASS": 1.2})).writeto(star)
    known = Job(
        **{name: getattr(job, name) for name in ("step", "night", "label", "outputs", "options")},
        inputs=dict(job.inputs) | {"star": (star,)},
    )
    assert extract_spectrum(known).figures["quality"] == 1


def test_a_standard_teaches_and_half_of_a_pair_does_not(tmp_path):
    star = extract_spectrum(extraction(tmp_path, {LANDED: 9000.0}, options={"standard": "hz44"})).figures
    assert field_position_of(star, "20211018") is not None and star["frame"] == "ifu20211018_05_12_31"
    nodded = {(PLACE.x_arcsec - 3.0, PLACE.y_arcsec + 4.0): 4000.0}
    half = extract_spectrum(extraction(tmp_path, nodded, options={"half_of_pair": "A"}, ABPAIR=True)).figures
    assert half["quality"] == 2 and half["role"] == "pair" and field_position_of(half, "20211018") is None
    assert "5.0 arcsec from the expected position" in provisional(extraction(tmp_path, nodded))


@pytest.mark.parametrize("half", ["", "A", "B"])
def test_half_of_a_pair_is_final_told_as_such_and_acceptable_at_best(tmp_path, half):
    job = extraction(tmp_path, {LANDED: 4000.0}, options={"half_of_pair": half}, ABPAIR=bool(half))
    result = extract_spectrum(job)
    spectrum, header = read_spectrum(job.outputs["ext"])
    assert result.figures["confidence"] > 0.97 and "doubts" not in result.figures
    assert result.figures["quality"] == spectrum.meta["quality"] == (2 if half else 1)
    assert header["EXTRMETH"] == f"psf {half}".strip() and header["ABPAIR"] is False
    assert header.get("PAIRHALF", "") == spectrum.meta.get("half_of_pair", "") == half
    said = (f"ZTF21abcdefg_obs1: the [{half}] exposure of an A/B pair, extracted without the other",)
    assert result.warnings == (said if half else ())


def test_a_dome_that_closed_during_the_exposure_is_a_doubt(tmp_path):
    assert "the dome closed during the exposure" in provisional(
        extraction(tmp_path, {LANDED: 4000.0}, ENDDOME="closed")
    )
    assert extract_spectrum(extraction(tmp_path, {LANDED: 4000.0}, ENDDOME="NA")).figures["quality"] == 1


def test_start_and_request_by_the_one_rule_for_cards(tmp_path):
    stale = {"UTC": "2021-10-18T05:07:31.4", "OBSDATE": "2021-10-18", "OBSTIME": "05:12:31.400000"}
    job = extraction(tmp_path, {LANDED: 4000.0}, **stale, REQ_ID="20211018050355123", EXPTIME="2160.0", AIRMASS="1.000")
    extract_spectrum(job)
    _, header = read_spectrum(job.outputs["ext"])
    assert header["OBSUTC"] == "2021-10-18 05:12:31.4"
    assert header["MJD_OBS"] == pytest.approx(59505.2170301, abs=1e-6)
    assert header["REQ_ID"] == 20211018050355123
    assert (header["EXPTIME"], header["AIRMASS"]) == (2160.0, 1.0)
    seen = load("ZTF21abcdefg_obs1", list(job.inputs["cube"]))
    assert (seen.meta["utc"], seen.meta["req_id"]) == (header["OBSUTC"], header["REQ_ID"])
    assert seen.meta["airmass"] == header["AIRMASS"]


@pytest.mark.parametrize("card", ["none", "NA", -999, -5, "-5", 2.5, None, True])
def test_a_request_that_is_none_is_0(tmp_path, card):
    job = extraction(tmp_path, {LANDED: 4000.0}, REQ_ID=card)
    extract_spectrum(job)
    assert read_spectrum(job.outputs["ext"])[1]["REQ_ID"] == 0
    assert load("ZTF21abcdefg_obs1", list(job.inputs["cube"])).meta["req_id"] == 0
