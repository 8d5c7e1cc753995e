"""One observation through the pipeline's steps and through the window: the same numbers, from the same inputs."""

import hashlib
import shutil
from dataclasses import astuple, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits

from sedmd.core.job import Job
from sedmd.observation import extract as observation_extract
from sedmd.observation import saved
from sedmd.observation.aperture import extract
from sedmd.observation.decisions import Picture, Placement
from sedmd.observation.exposure import gain_of_b
from sedmd.observation.inputs import flux_by_headers, inputs_of
from sedmd.observation.load import load
from sedmd.observation.saved import ReplayFault, Verdict
from sedmd.observation.seeing import star_images
from sedmd.observation.suggestion import suggest
from sedmd.products.cube import write_cube
from sedmd.products.provenance import provenance
from sedmd.products.sensitivity import write_sensitivity
from sedmd.products.spectrum import read_spectrum
from sedmd.products.target_positions import place_cards
from sedmd.reduce.flux.sensitivity import Sensitivity
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.psf import Psf
from sedmd.reduce.target.seeing import Seeing
from sedmd.steps.extraction import extract_spectrum
from sedmd.steps.spectrum import calibrate_spectrum
from unit.reduce_scenes import make_cube
from unit.test_steps_extraction import CARDS, PLACE, SPAXELS, WAVELENGTH, extraction, star

NIGHT, EARLIER = "20211018", "20211015"
LANDED, HOST = (-0.7, 3.1), (0.9, 4.2)
PRODUCT = "ZTF21abcdefg_obs1"
VERDICT = Verdict(picture=Picture(window=(6500.0, 7000.0), low=0.0, high=9.0), quality=1, reducer="Ada L.")
FLUX_KEYS = ("fluxcal", "fluxcal_source", "fluxcal_night", "fluxcal_age_nights", "fluxcal_fallback")


_found = {}


@pytest.fixture(autouse=True)
def the_same_is_extracted_once(monkeypatch):
    """An extraction takes seconds; whoever asks for it with the very same cubes and settings is given the same."""
    search = observation_extract.extract_target

    def extract_target(looks, **told):
        key = hashlib.sha256()
        for look in looks:
            for array in (look.cube.flux, look.cube.variance, look.cube.mask, *astuple(look.refraction)):
                key.update(np.ascontiguousarray(array).tobytes())
            key.update(repr((look.exptime_s, look.offset)).encode())
        others = {name: value for name, value in told.items() if name != "gain_b"}
        key.update(np.asarray(told["gain_b"], float).tobytes() + repr(sorted(others.items())).encode())
        if key.digest() not in _found:
            _found[key.digest()] = search(looks, **told)
        return _found[key.digest()]

    monkeypatch.setattr(observation_extract, "extract_target", extract_target)


def flux_calibration(folder, level):
    """A flat sensitivity in a night's folder, as the step ``fluxcal`` of that night leaves it."""
    flat, none = np.full(WAVELENGTH.size, level), np.zeros(WAVELENGTH.size)
    made = Sensitivity(
        wavelength=WAVELENGTH,
        value=flat,
        error=0.01 + none,
        telluric=none,
        stars=("STD-HZ44_obs1",),
        scales=(1.0,),
        scatter=none,
        floor=0.02 + none,
    )
    path = folder / "std-correction.fits"
    job = Job(step="fluxcal", night=folder.name, label="1 standards", inputs={}, outputs={"fluxcal": path}, options={})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sensitivity(path, made, cards={}, provenance=provenance(job))
    return path


def pair(folder):
    """The jobs' inputs of an A/B pair: B at another airmass and of another exposure time."""
    paths = {}
    for letter, stem, place, cards in (
        ("a", "05_12_31", LANDED, {"AIRMASS": 1.0, "ENDAIR": 1.0}),
        ("b", "05_52_31", (LANDED[0] + 6.0, LANDED[1] - 8.0), {"AIRMASS": 1.3, "ENDAIR": 1.3, "EXPTIME": 1800.0}),
    ):
        offset = {"RA_OFF": -107.6 + (-6.0 if letter == "b" else 0.0), "DEC_OFF": -131.6 + 8.0 * (letter == "b")}
        more = {"ABPAIR": True, "OBJECT": f"ZTF21abcdefg [{letter.upper()}]", "UTC": f"2021-10-18T{stem}.0"}
        header = fits.Header(CARDS | cards | offset | more)
        field = np.full((WAVELENGTH.size, SPAXELS.q.size), 150.0) + 6000.0 * star(*place)
        paths[f"cube_{letter}"] = (folder / f"e3d_crr_b_ifu20211018_{stem.replace(':', '_')}_ZTF21abcdefg.fits",)
        tells = {"CALNIGHT": NIGHT, "CALAGE": 0, "CALFALL": False} | place_cards(header, PLACE)
        cube = make_cube(SPAXELS, WAVELENGTH, field, seed=ord(letter))
        write_cube(paths[f"cube_{letter}"][0], cube, header=header, cards=tells)
    return paths


def jobs(folder, flux=None, *, paired=False, earlier=None, **options):
    """The pipeline's two jobs on an observation: a target on a host, or an A/B pair of one alone."""
    made = extraction(folder, {LANDED: 6000.0, HOST: 2500.0}, options={"min_confidence": 0.0, **options})
    inputs = dict(made.inputs)
    if paired:
        for path in made.inputs["cube"]:
            path.unlink()
        inputs = pair(folder)
    told = {name: getattr(made, name) for name in ("step", "night", "label", "outputs", "options")}
    first = Job(**told, inputs=inputs)
    second = Job(
        step="calibrate",
        night=NIGHT,
        label=PRODUCT,
        inputs={"ext": (made.outputs["ext"],)} | ({} if flux is None else {"fluxcal": (flux,)}),
        outputs={"sp": folder / f"sp_{PRODUCT}.fits", "ascii": folder / f"{PRODUCT}_SEDM.txt"},
        options={} if earlier is None else {"fluxcal": earlier},
    )
    return first, second


def through_the_pipeline(first, second):
    extract_spectrum(first)
    calibrate_spectrum(second)
    return read_spectrum(second.outputs["sp"])[0]


def through_the_window(first, second, *, inputs=None):
    """The observation as the window loads it, and the placement of the pipeline's own spectrum."""
    paths = [path for role in ("cube", "cube_a", "cube_b") for path in first.inputs.get(role, ())]
    observation = load(PRODUCT, paths, inputs or inputs_of(first, second))
    found = suggest(observation)
    return observation, Placement(a=found.a, b=found.b, psf_a=found.psf_a, psf_b=found.psf_b, fit=found.told)


def same(one, other):
    """Numbers bit for bit, and the figures but for who graded it and what the pipeline thought of it."""
    assert one.unit == other.unit
    for column in ("wavelength", "flux", "error", "sky"):
        assert np.array_equal(getattr(one, column), getattr(other, column), equal_nan=True), column
    verdict = {"quality", "reducer", "confidence"}
    first, second = ({k: v for k, v in s.meta.items() if k not in verdict} for s in (one, other))
    assert first == second


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("night", ["", NIGHT, EARLIER])
def test_window_and_pipeline_give_the_same_numbers(tmp_path, paired, night):
    """Before any standard star, with the night's own flux calibration, and with an earlier night's."""
    folder = tmp_path / NIGHT
    flux = flux_calibration(tmp_path / night, 2e14) if night else None
    earlier = {"night": EARLIER, "age_nights": 3} if night == EARLIER else None
    first, second = jobs(folder, flux, paired=paired, earlier=earlier)
    made = through_the_pipeline(first, second)
    observation, placement = through_the_window(first, second)
    same(extract(observation, placement).spectrum, made)
    second.outputs["sp"].unlink()
    _, paths = saved.save(observation, placement, VERDICT, clock=lambda: datetime(2021, 10, 18, 9, tzinfo=UTC))
    kept, header = read_spectrum(folder / f"sp_{PRODUCT}.fits")
    same(kept, made)
    flx = {key: header.get(key) for key in ("FLXNIGHT", "FLXAGE", "FLXFALL", "CALSRC")}
    wanted = {"": (None, None, None), NIGHT: (NIGHT, 0, False), EARLIER: (EARLIER, 3, True)}[night]
    assert flx == dict(zip(flx, (*wanted, "std-correction.fits" if night else None), strict=True))
    assert "CONFID" not in header and "DOUBT1" not in header and header["QUALITY"] == 1
    assert set(saved.replay(paths[3]).values()) == {"same bytes"}


@pytest.mark.parametrize("night", [NIGHT, EARLIER])
def test_without_a_ledger_the_headers_tell_the_same_and_it_is_said(tmp_path, night):
    folder = tmp_path / NIGHT
    flux_calibration(tmp_path / night, 2e14)
    flux_calibration(tmp_path / "20211001", 9e14)  # older
    flux_calibration(tmp_path / "20211019", 9e14)  # a later night tells nothing
    first, second = jobs(folder)
    observation, placement = through_the_window(first, second)
    told = load(PRODUCT, observation.paths)
    assert told.notes[-1 if night == NIGHT else -2].startswith("no ledger: star and flux calibration chosen by")
    if night == EARLIER:
        assert told.notes[-1] == "using flux calibration from 20211015 (3 nights old)"
    meta = extract(told, replace(placement, fit=None)).spectrum.meta
    wanted = (True, "std-correction.fits", night, 3 if night == EARLIER else 0, night == EARLIER)
    assert tuple(meta[key] for key in FLUX_KEYS) == wanted


def test_a_flux_calibration_that_is_too_old_or_of_another_instrument_is_not_taken(tmp_path):
    (tmp_path / NIGHT).mkdir()
    flux_calibration(tmp_path / "20210901", 2e14)
    assert flux_by_headers(tmp_path / NIGHT, max_age_nights=30) is None
    assert flux_by_headers(tmp_path / NIGHT, max_age_nights=60).age_nights == 47
    # no folder of a night: nothing beside it is an earlier one
    (tmp_path / "cubes").mkdir()
    assert flux_by_headers(tmp_path / "cubes", max_age_nights=60) is None


def test_a_copied_flux_calibration_is_told_with_the_night_of_its_header(tmp_path):
    (tmp_path / NIGHT).mkdir()
    shutil.copy(flux_calibration(tmp_path / EARLIER, 2e14), tmp_path / NIGHT)
    found = flux_by_headers(tmp_path / NIGHT, max_age_nights=30)
    assert (found.path.parent.name, found.night, found.age_nights, found.fallback) == (NIGHT, EARLIER, 3, True)


def test_a_decision_stands_on_the_earlier_nights_calibration_until_it_is_told_otherwise(tmp_path):
    folder = tmp_path / NIGHT
    flux = flux_calibration(tmp_path / EARLIER, 2e14)
    first, second = jobs(folder, flux, earlier={"night": EARLIER, "age_nights": 3})
    observation, placement = through_the_window(first, second)
    decision, paths = saved.save(observation, replace(placement, fit=None), VERDICT)
    assert decision.fluxcal_night == EARLIER
    # the night's own comes: the decision replays as it was taken, and with new inputs is made anew
    flux_calibration(folder, 4e14)
    assert set(saved.replay(paths[3]).values()) == {"same bytes"}
    assert "new" in saved.replay(paths[3], new_inputs=True).values()
    assert read_spectrum(paths[2])[1]["FLXNIGHT"] == NIGHT
    assert set(saved.replay(paths[3]).values()) == {"same bytes"}
    [former] = saved.former_versions(folder, PRODUCT)
    flux.unlink()
    with pytest.raises(ReplayFault, match="flux calibration"):
        saved.replay(former / f"{PRODUCT}.decision.json")


def test_the_gain_of_b_holds_the_difference_in_extinction(tmp_path):
    first, second = jobs(tmp_path / NIGHT, paired=True)
    observation, _ = through_the_window(first, second)
    gain = gain_of_b(observation.exposures)
    exptimes = 1800.0 / 2160.0
    # B was seen through more air: fewer counts in the blue, hardly fewer in the red
    assert gain[0] < 0.95 * exptimes and gain[-1] == pytest.approx(exptimes, rel=0.03) and gain[-1] < exptimes
    assert observation.meta["airmass"] == pytest.approx(1.15) and observation.meta["exptime_s"] == 3960.0
    whole = extract(observation, Placement(a=Ellipse(x_arcsec=0, y_arcsec=0, semi_major_arcsec=2.0), b=A_B)).spectrum
    assert whole.meta["exptime_s"] == 3960.0 and whole.meta["is_pair"] is True


A_B = Ellipse(x_arcsec=3.0, y_arcsec=-3.0, semi_major_arcsec=2.0)


def test_concerns_of_the_pipeline_are_the_windows(tmp_path):
    """An earlier night's calibrations, names that contradict, a dome that closed."""
    first, second = jobs(tmp_path / NIGHT, name_doubt="NAME says one thing, OBJECT another")
    [path] = first.inputs["cube"]
    with fits.open(path, mode="update") as file:
        file[0].header["CALNIGHT"], file[0].header["CALAGE"], file[0].header["CALFALL"] = EARLIER, 3, True
        file[0].header["ENDDOME"] = "closed"
    figures = extract_spectrum(first).figures
    observation, _ = through_the_window(first, second)
    for concern in ("NAME says one thing", "the dome closed", f"using calibrations from {EARLIER} (3 nights old)"):
        assert concern in figures["doubts"]
    found = suggest(observation)
    assert f"confidence {figures['confidence']:.2f}" in found.words and "NAME says one thing" in found.words


def test_what_was_modelled_beside_the_target_is_said_of_the_fit_only(tmp_path):
    first, second = jobs(tmp_path / NIGHT)
    figures = extract_spectrum(first).figures
    observation, placement = through_the_window(first, second)
    found = suggest(observation)
    modelled = [text for text in figures["doubts"].split("; ") if text.endswith("was modelled")]
    assert modelled and list(found.modelled) == modelled and "modelled" not in found.words
    fitted, aperture = (extract(observation, one) for one in (placement, replace(placement, fit=None)))
    assert fitted.fitted and "HOSTFRAC" in fitted.cards and not aperture.fitted and not aperture.cards


def test_light_beyond_the_aperture_is_corrected_for_both_images_of_a_pair_or_for_none(tmp_path):
    first, second = jobs(tmp_path / NIGHT, paired=True)
    observation, placement = through_the_window(first, second)
    psf = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=1.9)

    def shares(**psfs):
        plain = replace(placement, fit=None, psf_a=None, psf_b=None)
        parts = extract(observation, replace(plain, **psfs)).parts
        return [part.spectrum.meta.get("aperture_share") for part in parts]

    both = shares(psf_a=psf, psf_b=psf)
    assert None not in both and shares(psf_a=psf) == shares(psf_b=psf) == both
    assert shares() == shares(psf_a=psf, point_source=False) == [None, None]


def test_a_star_is_told_by_the_field_or_by_the_nights_standard_in_all_exposures():
    observation_sources = [[source(18.0, 1.7)], [source(18.0, 1.9)]]
    night = Seeing(fwhm_arcsec=2.2)
    widths = lambda found, told: [psf.fwhm_arcsec for psf in star_images(found, told) or ()]  # noqa: E731
    assert widths(observation_sources, night) == [1.7, 1.9]
    faint = [[source(18.0, 1.7)], [source(6.0, 1.9)]]
    assert widths(faint, night) == [2.2, 2.2] and widths(faint, None) == [1.7, 1.7]
    assert widths([[], []], night) == [2.2, 2.2] and widths([[], []], None) == []


class source:
    """What is asked of a source that may be a star."""

    def __init__(self, significance, fwhm):
        self.psf = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=fwhm)
        self.significance, self.edge_arcsec = significance, 5.0
