"""Calibrations of an earlier night are told in the spectrum's header, in the log and on the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from sedmd.core.config import AutomaticExtraction
from sedmd.core.errors import FrameFault
from sedmd.core.job import Job
from sedmd.core.memory_figures import GIVEN_SHAPES, OWN_SHAPE
from sedmd.data import standards
from sedmd.data.extinction import extinction_mag
from sedmd.observation.calibrate import CALIBRATED
from sedmd.observation.exposure import Exposure
from sedmd.observation.extract import INSTRUMENTAL
from sedmd.observation.inputs import Subject
from sedmd.observation.meta import Facts, facts_of, figures_of
from sedmd.observation.seeing import expected
from sedmd.products.conditions import Conditions
from sedmd.products.plots.spectrum import _older
from sedmd.products.sensitivity import read_sensitivity, write_sensitivity
from sedmd.products.spectrum import Field, read_spectrum, write_spectrum
from sedmd.reduce.flux.sensitivity import Sensitivity, blur_to_bins, extinction_factor
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.seeing import Seeing, seeing_by_star
from sedmd.steps.page import draw_page
from sedmd.steps.spectrum import _burnt, calibrate_spectrum, make_fluxcal

WAVELENGTH = np.linspace(3700.0, 9300.0, 120)
OLDER = {"cal_night": "20190610", "cal_age_nights": 2, "cal_fallback": True}


def job(folder: Path, *, with_fluxcal: bool = True, options: dict[str, object] | None = None) -> Job:
    """Calibrate a flat spectrum that was extracted with calibrations of an earlier night."""
    ones, zeros = np.ones(WAVELENGTH.size), np.zeros(WAVELENGTH.size)
    meta = {"target": "ZTF", "airmass": 1.2, "exptime_s": 900.0, **OLDER}
    ext = Spectrum(wavelength=WAVELENGTH, flux=ones, error=0.1 * ones, sky=ones, unit=INSTRUMENTAL, meta=meta)
    write_spectrum(folder / "ext_ZTF_obs1.fits", ext, header=fits.Header())
    inputs = {"ext": (folder / "ext_ZTF_obs1.fits",)}
    if with_fluxcal:
        sensitivity = Sensitivity(
            wavelength=WAVELENGTH,
            value=1e16 * ones,
            error=0.01 * ones,
            telluric=zeros,
            stars=("STD-HZ44_obs1",),
            scales=(1.0,),
            scatter=zeros,
            floor=0.01 * ones,
        )
        write_sensitivity(folder / "std-correction.fits", sensitivity, cards={})
        inputs["fluxcal"] = (folder / "std-correction.fits",)
    outputs = {"sp": "sp_ZTF_obs1.fits", "ascii": "ZTF_obs1_SEDM.txt"}
    return Job(
        step="calibrate",
        night="20190612",
        label="ZTF_obs1",
        inputs=inputs,
        outputs={role: folder / name for role, name in outputs.items()},
        options=options or {},
    )


def page_of(calibrated: Job) -> Job:
    """Draw the spectrum that the other job makes."""
    folder = calibrated.outputs["sp"].parent
    return Job(
        step="page",
        night=calibrated.night,
        label=calibrated.label,
        inputs={"sp": (calibrated.outputs["sp"],)},
        outputs={"pdf": folder / "ZTF_obs1_SEDM.pdf"},
    )


def cards(folder: Path) -> dict[str, object]:
    header = read_spectrum(folder / "sp_ZTF_obs1.fits")[1]
    return {key: header[key] for key in header if key.startswith(("CALN", "CALA", "CALF", "FLX"))}


CAL = {"CALNIGHT": "20190610", "CALAGE": 2, "CALFALL": True}


def test_flux_calibration_of_the_night_itself(tmp_path):
    result = calibrate_spectrum(job(tmp_path))
    assert cards(tmp_path) == CAL | {"FLXNIGHT": "20190612", "FLXAGE": 0, "FLXFALL": False}
    assert result.warnings == ()


def test_noise_and_the_error_of_the_calibration_are_told_apart(tmp_path):
    calibrate_spectrum(job(tmp_path))
    before, _ = read_spectrum(next(tmp_path.rglob("ext_ZTF_obs1.fits")))
    after, _ = read_spectrum(next(tmp_path.rglob("sp_ZTF_obs1.fits")))
    noise = np.sqrt(after.error**2 - after.calibration_error**2)
    known = np.isfinite(noise) & (noise > 0)
    assert known.any()
    np.testing.assert_allclose(
        (noise / np.abs(after.flux))[known], (before.error / np.abs(before.flux))[known], rtol=1e-6
    )


@pytest.mark.parametrize(("age", "told"), [(1, "1 night old"), (3, "3 nights old")])
def test_flux_calibration_of_an_earlier_night(tmp_path, age, told):
    result = calibrate_spectrum(job(tmp_path, options={"fluxcal": {"night": "20190609", "age_nights": age}}))
    assert cards(tmp_path) == CAL | {"FLXNIGHT": "20190609", "FLXAGE": age, "FLXFALL": True}
    assert result.warnings == (f"ZTF_obs1: using flux calibration from 20190609 ({told})",)


def test_without_flux_calibration_nothing_is_said_of_its_night(tmp_path):
    calibrate_spectrum(job(tmp_path, with_fluxcal=False))
    assert cards(tmp_path) == CAL


def exposed(night, age, fallback):
    """Of an exposure only what its header tells of the calibrations."""
    made = fits.Header()
    if night:
        made["CALNIGHT"], made["CALAGE"], made["CALFALL"] = night, age, fallback
    return facts_of(made, "ifu20190612_04_07_07", Conditions(airmass=1.2, parallactic_deg=None))


def test_of_a_pair_the_older_calibrations_count():
    def told(*facts):
        figures = figures_of(facts, Subject(name="ZTF"), WAVELENGTH)
        return {key: value for key, value in figures.items() if key.startswith("cal_")}

    young, old = exposed("20190612", 0, False), exposed("20190610", 2, True)
    assert told(young, old) == told(old, young) == OLDER
    assert told(young) == {"cal_night": "20190612", "cal_age_nights": 0, "cal_fallback": False}
    assert told(exposed("", 0, False)) == {}


def test_a_standard_star_tells_a_target_the_seeing_at_its_own_airmass(tmp_path):
    ones = np.ones(WAVELENGTH.size)
    meta = {"target": "STD-HZ44", "airmass": 1.0, "seeing_arcsec": 1.3}
    star = Spectrum(wavelength=WAVELENGTH, flux=ones, error=ones, sky=ones, unit=INSTRUMENTAL, meta=meta)
    write_spectrum(tmp_path / "ext_STD-HZ44_obs1.fits", star, header=fits.Header())
    told = fits.getheader(tmp_path / "ext_STD-HZ44_obs1.fits")

    def seeing(*airmasses, by=told):
        facts = [Facts(frame="ifu", airmass=airmass) for airmass in airmasses]
        exposures = [Exposure(path=tmp_path, look=None, facts=one, header=fits.Header()) for one in facts]
        return expected(exposures, Subject(name="ZTF"), by, AutomaticExtraction(seeing_arcsec=1.8)).seeing

    assert seeing(1.0, by=None) == Seeing(fwhm_arcsec=1.8)
    assert seeing(1.0).fwhm_arcsec == pytest.approx(1.3)
    assert seeing(2.0) == seeing_by_star(1.3, 1.0, at_airmass=2.0)
    assert seeing(1.0, None).fwhm_arcsec == pytest.approx(1.3)
    assert seeing(None) == Seeing(fwhm_arcsec=1.8)


def test_the_page_tells_what_is_older_and_nothing_else():
    assert _older(OLDER) == "Calibrations of 20190610, 2 nights old"
    flux = {"fluxcal_night": "20190611", "fluxcal_age_nights": 1, "fluxcal_fallback": True}
    assert _older(OLDER | flux).endswith("     Flux calibration of 20190611, 1 night old")
    assert _older({**OLDER, "cal_fallback": False}) == _older({}) == ""


def star_of(
    folder: Path, product: str, key: str, *, level: float = 1.0, tilt: float = 0.0, airmass: float = 1.0
) -> Path:
    """An extracted standard, seen through dry air and a throughput without a feature."""
    wavelength = np.linspace(3700.0, 9300.0, 220)
    lost = level * np.exp(tilt * (wavelength - 6500) / 5600)
    lost = lost / extinction_factor(extinction_mag(wavelength), airmass)
    flux = 1e16 * lost * blur_to_bins(*standards.load(key), wavelength, 30.0 * np.ones(220))
    path = folder / f"ext_{product}.fits"
    meta = {"target": product, "airmass": airmass, "exptime_s": 60.0, "is_standard": True, "standard": key}
    error = 0.003 * np.abs(flux)
    ext = Spectrum(wavelength=wavelength, flux=flux, error=error, sky=flux, unit=INSTRUMENTAL, meta=meta)
    write_spectrum(path, ext, header=fits.Header({"LSFSIGMA": 30.0 / (5600 / 219)}))
    return path


def fluxcal_of(folder: Path, stars: list[Path], **options: object) -> Job:
    return Job(
        step="fluxcal",
        night="20190612",
        label="standards",
        inputs={"standards": tuple(stars)},
        outputs={"fluxcal": folder / "std-correction.fits"},
        options=options,
    )


def test_a_star_that_lost_its_blue_light_does_not_bend_the_nights_curve(tmp_path):
    stars = [
        star_of(tmp_path, "STD-Feige34_obs1", "feige34"),
        star_of(tmp_path, "STD-HZ44_obs1", "hz44", level=0.5, tilt=0.6),
    ]
    result = make_fluxcal(fluxcal_of(tmp_path, stars))
    assert result.figures["left out"] == "STD-HZ44_obs1"
    assert "not used" in result.warnings[0]
    header = fits.getheader(tmp_path / "std-correction.fits")
    assert (header["NSTARS"], header["STDOUT1"]) == (1, "STD-HZ44_obs1")


@pytest.mark.parametrize("airmass", [1.0, 2.0])
def test_the_sensitivity_is_that_above_the_atmosphere(tmp_path, airmass):
    make_fluxcal(fluxcal_of(tmp_path, [star_of(tmp_path, "STD-HZ44_obs1", "hz44", airmass=airmass)]))
    sensitivity = read_sensitivity(tmp_path / "std-correction.fits")
    blue = (sensitivity.wavelength > 4000) & (sensitivity.wavelength < 5500)
    assert_allclose(sensitivity.value[blue], 1e16, rtol=0.02)


@pytest.mark.parametrize("pixels, told", [(0, False), (40, True)])
def test_a_star_that_is_saturated_in_its_middle_calibrates_its_ends_and_that_is_told(tmp_path, pixels, told):
    path = star_of(tmp_path, "STD-HZ44_obs1", "hz44")
    whole, header = read_spectrum(path)
    lost = (whole.wavelength > 5500) & (whole.wavelength < 7500)
    flux = np.where(lost, np.nan, whole.flux)
    header["NSATUR"] = pixels
    write_spectrum(path, replace(whole, flux=flux), header=header)
    result = make_fluxcal(fluxcal_of(tmp_path, [path]))
    sensitivity = read_sensitivity(tmp_path / "std-correction.fits")
    known = np.isfinite(sensitivity.value)
    assert not known[lost].any() and known[(whole.wavelength > 4000) & (whole.wavelength < 5400)].all()
    assert known[(whole.wavelength > 7600) & (whole.wavelength < 9000)].all()
    assert ["the star is saturated there" in warning for warning in result.warnings] == [True] * told
    if told:
        ends = whole.wavelength[lost][[0, -1]]
        assert f"{lost.sum()} bins from {ends[0]:.0f} to {ends[1]:.0f} Angstrom" in result.warnings[0]


@pytest.mark.parametrize("lost, told", [([], 0), ([50], 0), ([50, 51], 0), ([50, 51, 53], 1)])
def test_a_cosmic_ray_on_the_crest_is_no_saturated_star(lost, told):
    flux = np.ones(120)
    flux[:5] = flux[lost] = np.nan
    assert len(_burnt("STD-HZ44_obs1", flux, WAVELENGTH, {"NSATUR": 9})) == told


def earlier_night(folder: Path, night: str, age: int, *, tilt: float = 0.0) -> str:
    """What an earlier night with one clouded star tells this one."""
    folder = folder / night
    folder.mkdir()
    result = make_fluxcal(fluxcal_of(folder, [star_of(folder, "STD-Feige34_obs1", "feige34", level=0.4, tilt=tilt)]))
    assert GIVEN_SHAPES not in result.figures
    return f"{night} {age} {result.figures[OWN_SHAPE]}"


def test_earlier_nights_are_told_in_the_product_and_their_level_is_not_taken(tmp_path):
    near, far = earlier_night(tmp_path, "20190611", 1, tilt=0.06), earlier_night(tmp_path, "20190602", 10, tilt=0.4)
    earlier = f"{near}; {far}"
    star = star_of(tmp_path, "STD-HZ44_obs1", "hz44")
    alone = make_fluxcal(fluxcal_of(tmp_path, [star]))
    path = tmp_path / "std-correction.fits"
    columns = fits.getdata(path, "TABLE").names
    assert not [name for name in columns if name.startswith("OWN")]
    before = read_sensitivity(path)
    result = make_fluxcal(fluxcal_of(tmp_path, [star], earlier=earlier))
    header, table = fits.getheader(path), fits.getdata(path, "TABLE")
    assert [header.get(key) for key in ("FLXNITE1", "FLXAGE1", "FLXNITE2")] == ["20190611", 1, None]
    assert result.figures["earlier nights"] == 1 and "earlier nights" not in alone.figures
    assert ["the response has changed since 20190602" in one for one in result.warnings] == [True]
    assert table.names == [*columns[:7], "OWNVALUE", "OWNERR", *columns[7:]]
    assert_allclose(table["OWNVALUE"], before.value)
    assert 0 < np.nanmedian(table["OWNERR"]) < 0.02
    after = read_sensitivity(path)
    assert_allclose(after.value / before.value, 1, atol=0.02)
    assert np.nanmax(np.abs(after.value / before.value - 1)) > 1e-3
    # the next night hears of this one what its own star saw, and nothing twice
    assert result.figures[OWN_SHAPE] == alone.figures[OWN_SHAPE]
    assert result.figures[GIVEN_SHAPES] == earlier


def test_without_earlier_nights_the_table_is_the_same(tmp_path):
    star = star_of(tmp_path, "STD-HZ44_obs1", "hz44")
    path = tmp_path / "std-correction.fits"
    tables = []
    for options in ({}, {"earlier": ""}):
        figures = make_fluxcal(fluxcal_of(tmp_path, [star], **options)).figures
        assert figures.get(GIVEN_SHAPES) == options.get("earlier")
        tables.append((fits.getdata(path, "TABLE").tobytes(), fits.getdata(path, "STARS").tobytes()))
    assert tables[0] == tables[1]
    assert not [key for key in fits.getheader(path) if key.startswith(("FLXNITE", "FLXAGE"))]


def test_a_standard_star_without_a_spectrum_in_the_table_never_calibrates(tmp_path):
    path = star_of(tmp_path, "STD-HZ44_obs1", "hz44")
    with fits.open(path, mode="update") as file:
        file[0].header["STDKEY"] = ""
    with pytest.raises(FrameFault, match="STDKEY"):
        make_fluxcal(fluxcal_of(tmp_path, [path]))


def drawn_with(monkeypatch, made: Job) -> dict[str, object]:
    """What the page's job hands to the plot."""
    given: dict[str, object] = {}
    plot = "sedmd.steps.page.plot_spectrum"
    monkeypatch.setattr(plot, lambda path, spectrum, **more: given.update(more, of=spectrum))
    draw_page(made)
    return given


def test_a_page_shows_what_is_in_the_spectrum_and_nothing_else(tmp_path, monkeypatch):
    made = job(tmp_path)
    calibrate_spectrum(made)
    for given in (*made.inputs["ext"], *made.inputs["fluxcal"]):
        given.unlink()
    given = drawn_with(monkeypatch, page_of(made))
    told, _ = read_spectrum(made.outputs["sp"])
    assert given["name"] == "ZTF_obs1" and given["of"].meta == told.meta and (given["of"].flux == told.flux).all()
    assert given["image"] is None and given["apertures"] == [] and given["reference"] is None


def test_a_page_shows_the_field_the_places_and_the_published_spectrum(tmp_path, monkeypatch):
    x = np.arange(-3.0, 4.0)
    field = Field(x_arcsec=x, y_arcsec=-x, values=x + 20, corners=np.ones((6, 2)), label="white")
    meta = {"is_pair": True, "x_arcsec": 1.0, "y_arcsec": 2.0, "x_b_arcsec": -3.0, "y_b_arcsec": 4.0}
    meta |= {"seeing_arcsec": 1.5, "standard": "feige34"}
    ones = np.ones(WAVELENGTH.size)
    spectrum = Spectrum(wavelength=WAVELENGTH, flux=ones, error=ones, sky=ones, unit=CALIBRATED, meta=meta)
    made = page_of(job(tmp_path))
    write_spectrum(made.one("sp"), spectrum, field=field)
    given = drawn_with(monkeypatch, made)
    assert [given["image"].label, *given["image"].values] == ["white", *field.values]
    marks = [(m.label, m.x_arcsec, m.y_arcsec, m.semi_major_arcsec, m.negative) for m in given["apertures"]]
    assert marks == [("A", 1.0, 2.0, 1.5, False), ("B", -3.0, 4.0, 1.5, True)]
    assert (given["reference"][1] == standards.load("feige34")[1]).all()
    # the published spectrum has a unit: beside electrons it would mean nothing
    write_spectrum(made.one("sp"), replace(spectrum, unit=INSTRUMENTAL), field=field)
    assert drawn_with(monkeypatch, made)["reference"] is None


def test_a_page_is_the_same_whoever_draws_it_again(tmp_path):
    made = job(tmp_path)
    calibrate_spectrum(made)
    draw_page(page_of(made))
    once = page_of(made).outputs["pdf"].read_bytes()
    draw_page(page_of(made))
    assert once.startswith(b"%PDF") and page_of(made).outputs["pdf"].read_bytes() == once


@pytest.mark.parametrize(
    "figures, cards, said",
    [
        (
            {"quality": 0, "provisional": True},
            {},
            "PROVISIONAL, awaiting observer: confidence 0.43; two objects; it is faint",
        ),
        ({"quality": 2}, {}, ""),
        ({"quality": 2}, {"OBJSEEN": True}, ""),
        ({"quality": 4}, {"OBJSEEN": False}, "NO OBJECT VISIBLE; two objects; it is faint"),
    ],
)
def test_the_page_says_what_kind_of_spectrum_it_is_with_the_concerns(tmp_path, monkeypatch, figures, cards, said):
    path = tmp_path / "sp_SN2017abc.fits"
    meta = {"confidence": 0.4321} | figures
    flat = np.ones(9)
    spectrum = Spectrum(wavelength=np.linspace(4e3, 9e3, 9), flux=flat, error=flat, sky=flat, unit="e", meta=meta)
    write_spectrum(path, spectrum, cards={"DOUBT1": "two objects", "DOUBT2": "it is faint"} | cards)
    notes = []
    monkeypatch.setattr("sedmd.steps.page.plot_spectrum", lambda *_, note, **__: notes.append(note))
    draw_page(
        Job(step="page", night="20170612", label="x", inputs={"sp": (path,)}, outputs={"pdf": tmp_path / "p.pdf"})
    )
    assert notes == [said]
