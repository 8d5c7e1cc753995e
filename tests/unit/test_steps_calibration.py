"""Bias and lamp steps: a bad frame is left out and told, a bad series is a fault that says what to do."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

import sedmd.raw.epochs
import sedmd.steps.calibration as steps
from sedmd.core.errors import CalibrationFault
from sedmd.core.instrument import WAVELENGTH_GRID, Sections
from sedmd.core.job import Job
from sedmd.core.memory_figures import GIVEN_PIXELS, OWN_LINES, OWN_PIXELS
from sedmd.products.image import read_image
from sedmd.products.solution import TraceSet, read_bad_pixels, read_flat
from sedmd.products.tables import read_table
from sedmd.raw.epochs import CAMERAS, Camera
from sedmd.reduce.cube.bad_pixels import Answers, bad_pixels
from sedmd.reduce.cube.sky_pattern import SkyPattern
from sedmd.reduce.numeric.containers import Mask
from sedmd.reduce.traces.extract import light_of_others, model_image, scattered_under
from sedmd.reduce.traces.profile import gaussian_profile
from sedmd.reduce.wavelength.accuracy import Accuracy
from sedmd.reduce.wavelength.law import EarlierLaw, Law, LawChange
from sedmd.reduce.wavelength.wavelength import LineGroup
from sedmd.steps.calibration import (
    _fringed,
    _made_of,
    _moved,
    _off_the_dome,
    _pixel_figures,
    _too_many,
    make_bias,
    make_flat,
    make_lamp,
    make_traces,
    make_wavelength,
)
from sedmd.steps.raw import read_master_bias, to_electrons
from sedmd.steps.sky_flat import SkyCorrection
from unit.reduce_scenes import expose, hex_spaxels, prism_solution, quiet, rng, rows_scene

SHAPE, FIRST, GAIN, READ_NOISE_ADU = (512, 515), 512, 1.8, 5.0


#: A sixteenth of the detector, read by cameras of both kinds.
PLAIN = replace(CAMERAS[0], shape=SHAPE, sections=Sections(image=(0, 515), scans=((FIRST, 515),)))
WIDE = replace(CAMERAS[-1], shape=(512, 555), sections=Sections(image=(20, 535), scans=((0, 20), (535, 555))))


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.raw.epochs, "CAMERAS", (PLAIN, WIDE))


@cache
def light(kind):
    """Electrons of an even dome or of lines: spectra every eight rows, lines every forty columns."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    across = np.exp(-0.5 * ((y % 8 - 4) / 1.3) ** 2)
    if kind in ("moved Hg", "lifted Hg"):
        return np.roll(light("Hg"), *((3, 1) if kind == "moved Hg" else (2, 0)))
    step = {"Hg": 40, "Cd": 53}.get(kind)
    along = 1.0 if step is None else np.exp(-0.5 * ((x % step - step // 2) / 1.2) ** 2)
    electrons = 2000.0 * across * along
    electrons[:, FIRST:] = 0.0
    return electrons


def write_raw(
    path: Path,
    seed: int,
    kind: str | None = None,
    even: float = 0.0,
    *,
    camera: Camera = PLAIN,
    gain: float = GAIN,
    **cards: object,
) -> Path:
    """A raw frame with the light of `kind` and even light; `cards` replace GAIN."""
    random = rng(seed)
    electrons = np.zeros(SHAPE) if kind is None else light(kind).copy()
    electrons[:, :FIRST] += even
    adu = np.full(camera.shape, 700.0) + random.normal(0, READ_NOISE_ADU, camera.shape)
    adu[:, slice(*camera.sections.image)] += random.poisson(electrons) / gain
    hdu = fits.PrimaryHDU(np.rint(np.clip(adu, 0, 65535)).astype(np.uint16))
    hdu.header.update(cards or {"GAIN": gain})
    hdu.writeto(path)
    return path


def bias_job(folder: Path, *even: float) -> Job:
    raw = tuple(write_raw(folder / f"ifu{k}.fits", k, even=light) for k, light in enumerate(even))
    return Job(
        step="bias", night="20190612", label="0.1", inputs={"raw": raw}, outputs={"bias": folder / "bias0.1.fits"}
    )


def lamp_job(folder: Path, lamp: str, *kinds: str | None) -> Job:
    made = make_bias(bias_job(folder, 0.0, 0.0, 0.0))
    assert made.warnings == ()
    raw = tuple(write_raw(folder / f"ifu{10 + k}.fits", 10 + k, kind) for k, kind in enumerate(kinds))
    return Job(
        step="lamp",
        night="20190612",
        label=lamp,
        inputs={"raw": raw, "bias": (folder / "bias0.1.fits",)},
        outputs={"lamp": folder / f"{lamp}.fits"},
    )


def test_bias_with_light_is_left_out_of_the_master_and_of_its_header(tmp_path):
    result = make_bias(bias_job(tmp_path, 0.0, 200.0, 0.0, 0.0))
    assert result.figures["frames"] == 3
    (warning,) = result.warnings
    assert warning.startswith("ifu1.fits rejected: ") and "light" in warning
    image, header = read_image(tmp_path / "bias0.1.fits")
    assert [header[f"IMCMB{k:03d}"] for k in (1, 2, 3)] == ["ifu0.fits", "ifu2.fits", "ifu3.fits"]
    assert abs(np.median(image.data)) < 0.5


def test_biases_with_light_are_a_fault_and_leave_no_product(tmp_path):
    with pytest.raises(CalibrationFault, match=r"3 of 4 frames cannot be used; the .* noise .* light in the frame\?"):
        make_bias(bias_job(tmp_path, 200.0, 200.0, 200.0, 0.0))
    assert not (tmp_path / "bias0.1.fits").exists()


def test_single_bias_is_too_few(tmp_path):
    with pytest.raises(CalibrationFault, match="at least 2 are needed"):
        make_bias(bias_job(tmp_path, 0.0))


def test_dark_and_mislabelled_exposures_are_left_out_of_a_lamp(tmp_path):
    result = make_lamp(lamp_job(tmp_path, "Hg", "Hg", None, "Hg", "dome"))
    assert result.figures["frames"] == 2
    dark, dome = result.warnings
    assert dark.startswith("ifu11.fits rejected: no spectra")
    assert dome.startswith("ifu13.fits rejected: a continuum")


def test_only_exposure_that_is_left_brings_a_warning(tmp_path):
    result = make_lamp(lamp_job(tmp_path, "dome", None, "dome"))
    assert result.warnings[-1] == "dome: only ifu11.fits could be used; cosmic rays remain"


@pytest.mark.parametrize("said, told", [(GAIN, False), (1.02 * GAIN, False), (2.5, True), (1.2, True)])
def test_gain_that_the_dome_contradicts_is_told_and_kept(tmp_path, said, told):
    job = lamp_job(tmp_path, "dome")
    raw = tuple(write_raw(tmp_path / f"ifu{k}.fits", k, "dome", GAIN=said) for k in (20, 21, 22))
    result = make_lamp(replace(job, inputs=job.inputs | {"raw": raw}))
    header = read_image(tmp_path / "dome.fits")[1]
    assert header["RAWGAIN"] == said
    assert abs(header["PTGAIN"] - GAIN) < 4 * header["PTGAINER"] < 0.2
    assert header["PTNOISE"] == pytest.approx(READ_NOISE_ADU * GAIN, rel=0.05)
    assert result.figures["gain [e-/adu]"] == pytest.approx(header["PTGAIN"], abs=1e-3)
    assert [" electron/ADU by photon transfer" in warning for warning in result.warnings] == [True] * told
    for warning in result.warnings:
        assert f"{said:g} expected and used" in warning
        assert ("too small" in warning) == (said > GAIN)
        assert f"sedmd mend NIGHT GAIN={header['PTGAIN']:.2f}" in warning


def test_exposures_of_several_gains_tell_none(tmp_path):
    job = lamp_job(tmp_path, "dome")
    raw = tuple(
        write_raw(tmp_path / f"ifu{k}.fits", k, "dome", GAIN=said) for k, said in ((20, 1.8), (21, 1.8), (22, 1.9))
    )
    result = make_lamp(replace(job, inputs=job.inputs | {"raw": raw}))
    assert "PTGAIN" not in read_image(tmp_path / "dome.fits")[1] and "gain [e-/adu]" not in result.figures


def test_lamp_that_was_off_is_a_fault(tmp_path):
    with pytest.raises(CalibrationFault, match=r"Hg: none of 2 exposures can be used.*was the lamp on\?"):
        make_lamp(lamp_job(tmp_path, "Hg", None, None))
    assert not (tmp_path / "Hg.fits").exists()


def test_exposures_of_two_geometries_are_not_averaged_and_named(tmp_path):
    """The lamp was taken in two parts, and the instrument was touched in between."""
    result = make_lamp(lamp_job(tmp_path, "Hg", "Hg", "Hg", "Hg", "moved Hg", "moved Hg"))
    told = [f"ifu{n}.fits rejected: its spectra lie 3.0 px off those of the other exposures" for n in (10, 11, 12)]
    assert [warning.split(",")[0] for warning in result.warnings] == told
    assert result.figures["left out"] == "ifu10, ifu11, ifu12"
    image = read_image(tmp_path / "Hg.fits")[0].data
    assert image[4::8, 20 + 3 : FIRST : 40].mean() > 5 * image[4::8, 20:FIRST:40].mean()


def test_a_lamp_of_another_geometry_than_the_domes_is_named_with_its_frames():
    dome, lamp, moved = (expose(light(kind), seed=n) for n, kind in enumerate(("dome", "Hg", "lifted Hg")))
    off = _off_the_dome(dome, {"Xe": lamp, "Hg": moved})
    assert off == {"Hg": pytest.approx(2.0, abs=0.1)}
    headers = {
        "dome": fits.Header([("IMCMB001", "ifu1.fits"), ("IMCMB002", "ifu2.fits.gz"), ("IMCMB010", "ifu9.fits")]),
        "Hg": fits.Header([("IMCMB001", "ifu20.fits.fz")]),
    }
    (told,) = _moved(off, {lamp: _made_of(header) for lamp, header in headers.items()})
    assert told.startswith("the spectra of Hg.fits (ifu20) lie 2.0 px off those of dome.fits (ifu1 to ifu9), at most 1")


def test_one_lamp_under_two_labels_is_a_fault_before_anything_is_fitted(tmp_path):
    for lamp in ("Hg", "Cd"):
        (tmp_path / lamp).mkdir()
        make_lamp(lamp_job(tmp_path / lamp, lamp, "Hg", "Hg"))
    (tmp_path / "Xe").mkdir()
    make_lamp(lamp_job(tmp_path / "Xe", "Xe", "Cd", "Cd"))
    inputs = {lamp: (tmp_path / lamp / f"{lamp}.fits",) for lamp in ("Hg", "Cd", "Xe")}
    inputs["dome"] = inputs["Hg"]
    job = Job(step="traces", night="20190612", label="", inputs=inputs, outputs={"traces": tmp_path / "traces.fits"})
    with pytest.raises(CalibrationFault, match=r"Hg\.fits and Cd\.fits show the same lamp \(likeness 0\.9|1\.0"):
        make_traces(job)


def jobs(folder: Path, biases: list[Path], domes: list[Path]) -> tuple[Job, Job]:
    bias = Job(step="bias", night="n", label="1.0", inputs={"raw": tuple(biases)}, outputs={"bias": folder / "b.fits"})
    lamp = Job(
        step="lamp",
        night="n",
        label="dome",
        inputs={"raw": tuple(domes), "bias": (folder / "b.fits",)},
        outputs={"lamp": folder / "dome.fits"},
    )
    return bias, lamp


def test_camera_with_scan_columns_on_both_sides_gives_the_same_image(tmp_path):
    taken = {}
    for camera, gain in ((PLAIN, 1.8), (WIDE, 0.9)):
        folder = tmp_path / camera.name
        folder.mkdir()
        biases = [write_raw(folder / f"ifu{k}.fits", k, camera=camera, gain=gain) for k in range(4)]
        domes = [write_raw(folder / f"ifu{10 + k}.fits", 10 + k, "dome", camera=camera, gain=gain) for k in range(3)]
        bias, lamp = jobs(folder, biases, domes)
        result = make_bias(bias)
        assert result.warnings == () and result.figures["read noise [adu]"] == pytest.approx(READ_NOISE_ADU, rel=0.02)
        assert read_master_bias(folder / "b.fits").pedestal == pytest.approx(700, abs=0.5)
        assert make_lamp(lamp).warnings == ()
        taken[camera.name], header = read_image(folder / "dome.fits")
        assert (header["NAXIS2"], header["NAXIS1"]) == SHAPE
    plain, wide = taken.values()
    inside = np.s_[:, :FIRST]
    assert plain.data.shape == wide.data.shape == SHAPE
    difference = (plain.data - wide.data)[inside] / np.sqrt((plain.variance + wide.variance)[inside])
    # the noise of the master bias is common to the exposures, so that the mean of three has a little more
    assert difference.std() == pytest.approx(1.04, abs=0.03) and abs(difference.mean()) < 0.05


def test_sections_of_the_cards_are_taken_and_do_not_stay_in_the_product(tmp_path):
    cards = {"GAIN": 0.9, "PSCANX0": 1, "PSCANX1": 20, "OSCANX0": 536, "OSCANX1": 555}
    biases = [write_raw(tmp_path / f"ifu{k}.fits", k, camera=WIDE, **cards) for k in range(3)]
    make_bias(jobs(tmp_path, biases, [])[0])
    master = read_master_bias(tmp_path / "b.fits")
    _, header, warnings = to_electrons(biases[0], master)
    assert not set(header) & set(cards) - {"GAIN"} and header["BIASFROM"] == "over-scan"
    # of a chip this small no card can leave the whole image: they are not believed, and that is said
    assert warnings == (
        "ifu0.fits: PSCANX0 1, PSCANX1 20, OSCANX0 536, OSCANX1 555: not the sections of 555 columns; image columns 21 "
        "to 535 taken",
    )


@pytest.mark.parametrize("cards", [{"GAIN": "NA"}, {"GAIN": 1.0}, {"TELESCOP": "60"}])
def test_gain_that_is_not_told_is_the_cameras(tmp_path, cards):
    biases = [write_raw(tmp_path / f"ifu{k}.fits", k, camera=WIDE, **cards) for k in range(3)]
    dome = write_raw(tmp_path / "ifu9.fits", 9, "dome", camera=WIDE, gain=0.9, **cards)
    make_bias(jobs(tmp_path, biases, [])[0])
    assert read_image(tmp_path / "b.fits")[1]["GAIN"] == 0.9
    image, _, (warning,) = to_electrons(dome, read_master_bias(tmp_path / "b.fits"))
    assert warning.endswith("0.9 electron/ADU of the Andor iKon taken")
    assert np.percentile(image.data, 99) == pytest.approx(2000, rel=0.1)


def test_pixels_are_saturated_where_their_camera_ends(tmp_path):
    for camera, gain, expected in ((PLAIN, 0.04, True), (WIDE, 0.04, False), (WIDE, 0.03, True)):
        folder = tmp_path / f"{camera.name} {gain}"
        folder.mkdir()
        biases = [write_raw(folder / f"ifu{k}.fits", k, camera=camera, GAIN=1.8) for k in range(3)]
        make_bias(jobs(folder, biases, [])[0])
        dome = write_raw(folder / "ifu9.fits", 9, "dome", camera=camera, gain=gain, GAIN=1.8)
        image, _, _ = to_electrons(dome, read_master_bias(folder / "b.fits"))
        assert bool(((image.mask & Mask.SATURATED) != 0).any()) is expected


def test_frames_of_another_camera_are_left_out_and_named(tmp_path):
    old = [write_raw(tmp_path / f"ifu{k}.fits", k) for k in range(4)]
    new = [write_raw(tmp_path / f"ifu{4 + k}.fits", 4 + k, camera=WIDE, gain=0.9) for k in range(3)]
    domes = [write_raw(tmp_path / f"ifu{20 + k}.fits", 20 + k, "dome", camera=c) for k, c in enumerate((PLAIN, WIDE))]
    bias, lamp = jobs(tmp_path, old + new, domes)
    result = make_bias(bias)
    assert result.figures["frames"] == 3
    assert [w.split(":")[0] for w in result.warnings] == [f"ifu{k}.fits rejected" for k in range(4)]
    assert "512 x 515 pixels where 512 x 555 were expected; from another camera" in result.warnings[0]
    result = make_lamp(lamp)
    assert result.figures["frames"] == 1
    assert result.warnings[0].startswith("rejected: ifu20.fits: frame of shape (512, 515) and master bias")
    with pytest.raises(CalibrationFault, match=r"dome: none of 1 exposures can be used; the first: ifu20\.fits: frame"):
        make_lamp(jobs(tmp_path, [], domes[:1])[1])


def solved_job(folder: Path, step: str, *roles: str) -> Job:
    """A step on traces that were found; what it reads and fits is injected."""
    inputs = {role: (folder / f"{role}.fits",) for role in ("traces", *roles)}
    for (path,) in inputs.values():
        path.touch()
    return Job(step=step, night="20190612", label=step, inputs=inputs, outputs={step: folder / f"{step}.fits"})


@pytest.fixture
def found(monkeypatch):
    """Traces of a field of which every spectrum is whole; the images are dark."""
    spaxels = hex_spaxels(6)
    n = spaxels.q.size
    start = prism_solution(np.linspace(200.0, 1800.0, n))
    made = TraceSet(traces=None, spaxels=spaxels, complete=np.ones(n, bool), start=start)
    monkeypatch.setattr(steps, "read_traces", lambda path: made)
    monkeypatch.setattr(steps, "read_image", lambda path: (quiet(np.zeros((64, 40))), fits.Header()))
    return made


def test_a_solution_that_fails_its_checks_is_a_fault_and_no_product(tmp_path, monkeypatch, found):
    monkeypatch.setattr(steps, "refine_wavelengths", lambda *given: found.start)  # of no line at all
    with pytest.raises(CalibrationFault, match=r"^wavelength: too few groups of lamp lines \(Hg 0, Cd 0, Xe 0\)"):
        make_wavelength(solved_job(tmp_path, "wavelength", *steps.LAMPS))
    assert not (tmp_path / "wavelength.fits").exists()


def test_a_geometry_whose_lines_fail_their_checks_is_a_fault_and_no_product(tmp_path, monkeypatch, found):
    n = steps.MIN_SPAXELS
    geometry = SimpleNamespace(
        traces=SimpleNamespace(n=n),
        solution=prism_solution(np.linspace(200.0, 1800.0, n)),  # of no line at all
        complete=np.ones(n, bool),
    )
    monkeypatch.setattr(steps, "likeness", lambda a, b: 0.0)
    monkeypatch.setattr(steps, "rows_between", lambda a, b: 0.0)
    monkeypatch.setattr(steps, "solve_geometry", lambda *given: geometry)
    inputs = {role: (tmp_path / f"{role}.fits",) for role in ("dome", *steps.LAMPS)}
    outputs = {"traces": tmp_path / "traces.fits"}
    with pytest.raises(CalibrationFault, match=r"^traces: too few groups of lamp lines \(Hg 0, Cd 0, Xe 0\)"):
        make_traces(Job(step="traces", night="20190612", label="traces", inputs=inputs, outputs=outputs))
    assert not outputs["traces"].exists()


@pytest.mark.parametrize("corrected", [False, True])
def test_a_flat_is_multiplied_by_what_earlier_nights_saw_of_the_sky(tmp_path, monkeypatch, found, corrected):
    n = found.complete.size
    flat = np.ones((WAVELENGTH_GRID.size, n), np.float32)
    factor, error = 1.0 + 0.01 * np.cos(np.arange(n)), np.full(n, 0.002)
    pattern = SkyPattern(factor=factor, error=error, parts={}, nightly={})
    sky = SkyCorrection(pattern=pattern, cards={"SKYNIGHT": (3, "")}, figures={"sky nights": 3}, warnings=("odd",))
    samples = rows_scene([30.0]).samples()
    traces = SimpleNamespace(samples=lambda shape, beyond=0: samples, profile=gaussian_profile(), halo=None)
    monkeypatch.setattr(steps, "read_traces", lambda path: replace(found, traces=traces))
    monkeypatch.setattr(steps, "read_wavelength", lambda path: found.start)
    monkeypatch.setattr(steps, "_per_angstrom", lambda *given: (flat, flat, flat))
    monkeypatch.setattr(steps, "spaxel_flat", lambda *given, **options: flat)
    monkeypatch.setattr(steps, "sky_correction", lambda *given: sky if corrected else SkyCorrection())
    result = make_flat(job := solved_job(tmp_path, "flat", "dome", "wavelength"))
    table = read_table(job.outputs["flat"])
    assert_allclose(read_flat(job.outputs["flat"]), flat * (factor if corrected else 1.0), rtol=1e-6)
    assert ("SKYFACT" in table.columns) == ("SKYERR" in table.columns) == corrected
    assert table.header.get("SKYNIGHT") == (3 if corrected else None)
    assert result.figures.get("sky nights") == (3 if corrected else None)
    assert ("odd" in result.warnings) == corrected
    if corrected:
        assert_allclose(table["SKYFACT"], factor)
        assert_allclose(table["SKYERR"], error)


def test_a_flat_knows_what_was_taken_off_for_the_light_between_and_beside_the_spectra(tmp_path, monkeypatch, found):
    n, asked, given = found.complete.size, [], {}
    flat = np.ones((WAVELENGTH_GRID.size, n), np.float32)
    samples = rows_scene([30.0, 33.0]).samples()
    traces = SimpleNamespace(samples=lambda shape, beyond=0: samples, profile=gaussian_profile(), halo=None)
    lit = 7.0 + model_image(samples, traces.profile, np.where(samples.trace == 0, 900.0, 90.0)).T
    monkeypatch.setattr(steps, "read_image", lambda path: (quiet(lit), fits.Header()))
    monkeypatch.setattr(steps, "read_traces", lambda path: replace(found, traces=traces))
    monkeypatch.setattr(steps, "read_wavelength", lambda path: found.start)

    def per_angstrom(separated, values, *rest):
        asked.append((separated, values))
        grid = np.full(flat.shape, float(len(asked)))
        grid[0] = np.nan
        return grid, flat, flat

    monkeypatch.setattr(steps, "_per_angstrom", per_angstrom)
    monkeypatch.setattr(steps, "spaxel_flat", lambda *places, **options: given.update(options) or flat)
    make_flat(solved_job(tmp_path, "flat", "dome", "wavelength"))
    (separated, flux), (_, between), (_, beside) = asked
    assert np.abs(between - beside).max() > 10
    assert_allclose(between, scattered_under(separated.samples, separated.background))
    assert_allclose(beside, light_of_others(separated.samples, traces.profile, flux))
    for name, level in (("scattered", 2.0), ("others", 3.0)):
        assert (given[name][1:] == level).all() and (given[name][0] == 0.0).all()


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_flat_that_fails_its_checks_is_a_fault_and_no_product(tmp_path, monkeypatch, found, share):
    n = found.complete.size
    flat = np.ones((WAVELENGTH_GRID.size, n), np.float32)
    flat[:, : round(share * n)] = 0.1
    samples = rows_scene([30.0]).samples()
    traces = SimpleNamespace(samples=lambda shape, beyond=0: samples, profile=gaussian_profile(), halo=None)
    monkeypatch.setattr(steps, "read_traces", lambda path: replace(found, traces=traces))
    monkeypatch.setattr(steps, "read_wavelength", lambda path: found.start)
    monkeypatch.setattr(steps, "_per_angstrom", lambda *given: (flat, flat, flat))
    monkeypatch.setattr(steps, "spaxel_flat", lambda *given, **options: flat)
    job = solved_job(tmp_path, "flat", "dome", "wavelength")
    if share:
        with pytest.raises(CalibrationFault, match=r"^flat: 20 % of the 127 complete spaxels get less than 20 %"):
            make_flat(job)
    else:
        make_flat(job)
    assert job.outputs["flat"].exists() == (not share)


def test_a_night_tells_the_next_of_its_bad_pixels_and_goes_on_with_what_it_was_told(tmp_path, monkeypatch, found):
    flat = np.ones((WAVELENGTH_GRID.size, found.complete.size), np.float32)
    samples = rows_scene([30.0]).samples()
    traces = SimpleNamespace(samples=lambda shape, beyond=0: samples, profile=gaussian_profile(), halo=None)
    monkeypatch.setattr(steps, "read_traces", lambda path: replace(found, traces=traces))
    monkeypatch.setattr(steps, "read_wavelength", lambda path: found.start)
    monkeypatch.setattr(steps, "_per_angstrom", lambda *given: (flat, flat, flat))
    monkeypatch.setattr(steps, "spaxel_flat", lambda *given, **options: flat)
    shape = samples.shape
    off, error = np.zeros(shape), np.full(shape, 0.01)
    off[3, 4] = off[3, 5] = 1.0
    monkeypatch.setattr(steps, "answers", lambda *given: Answers(off=off, error=error))
    job = solved_job(tmp_path, "flat", "dome", "wavelength")
    first = make_flat(job).figures
    assert first["bad pixels"] == 2 and GIVEN_PIXELS not in first and "new" not in first
    told = f"20190611 1 {first[OWN_PIXELS]}"
    off[3, 4], error[3, 5], off[9, 9] = 0.0, np.inf, 1.0
    second = make_flat(replace(job, options={"pixels": told})).figures
    assert [second[one] for one in ("bad pixels", "known", "not seen", "new", "healed")] == [2, 1, 1, 1, 1]
    assert second[GIVEN_PIXELS] == told and second[OWN_PIXELS] == "9:9/4:3"
    marked = read_bad_pixels(job.outputs["flat"], shape)
    np.testing.assert_array_equal(np.argwhere(marked), [[3, 5], [9, 9]])
    header = fits.getheader(job.outputs["flat"])
    cards = ("NBADPIX", "NBADNITE", "NBADKNWN", "NBADSEEN", "NBADNEW", "NBADHEAL")
    assert [header[card] for card in cards] == [2, 1, 1, 0, 1, 1]
    assert make_flat(replace(job, options={"pixels": ""})).figures[GIVEN_PIXELS] == ""


def test_a_night_with_thousands_of_bad_pixels_says_so_and_tells_no_other():
    many = np.zeros((100, 100), bool)
    many[::2, ::2] = True
    pixels = bad_pixels(Answers(off=many * 1.0, error=np.full(many.shape, 0.01)), ())
    (warning,) = _too_many(pixels)
    assert warning.startswith("flat: 2500 pixels do not follow the light of the dome")
    assert OWN_PIXELS not in _pixel_figures(pixels, None)


@pytest.mark.parametrize(
    "rms, error, told", [(0.03, 0.001, True), (0.009, 0.0001, False), (0.03, 0.01, False), (float("nan"), 0.0, False)]
)
def test_fringes_that_a_spectrum_would_show_are_reported(rms, error, told):
    warnings = _fringed(rms, error)
    assert len(warnings) == told
    assert all("fringes of 3.0 +- 0.1 % (rms) beyond 800 nm, at most 1 % expected" in one for one in warnings)


@pytest.mark.parametrize("evidence", [0.0, 9.0])
def test_wavelengths_by_an_earlier_law_name_the_night_and_tell_their_own_lines(tmp_path, monkeypatch, found, evidence):
    at = np.arange(3800.0, 9601.0, 100.0)
    law = Law(lamp=("Cd",) * 8, wavelength=at[:8], place=at[:8] / 25.0, error=np.full(8, 0.1), night="20190610", age=2)
    given = f"20190611 1 Hg:1:2:3; 20190610 2 {law}"
    asked = []

    def refined(traces, start, lamps, lines, guesses, its):
        asked.append((tuple(lamps), its))
        return replace(
            start,
            groups=tuple(LineGroup("Cd", line, 0.0, 0.02) for line in (4358.0, 4800.0, 5086.0, 8243.0)) * 2,
            rms=np.full(start.rms.size, 0.1),
            n_lines=np.full(start.rms.size, 8),
            strain=0.1,
            accuracy=Accuracy(wavelength=at, error=np.full(at.size, 0.2), other_law=np.zeros(at.size)),
            lines=replace(law, night="", age=0),
            earlier=EarlierLaw(law=its, change=LawChange(likely=0.0, most=0.02, evidence=evidence)),
        )

    monkeypatch.setattr(steps, "refine_wavelengths", refined)
    n = found.complete.size
    traces = SimpleNamespace(y_coeff=np.full((n, 3), 900.0), centre=np.linspace(200.0, 1800.0, n))
    monkeypatch.setattr(steps, "read_traces", lambda path: replace(found, traces=traces))
    monkeypatch.setattr(steps, "unevenness", lambda *given: None)
    monkeypatch.setattr(steps, "usual_unevenness", lambda given: 0.1)
    job = replace(solved_job(tmp_path, "wavelength", "Cd"), options={"lines": given})
    result = make_wavelength(job)
    ((lamps, its),) = asked
    assert lamps == ("Cd",) and (its.night, its.age) == ("20190610", 2)
    header = read_table(tmp_path / "wavelength.fits").header
    assert result.figures[OWN_LINES] == str(law)
    assert (header.get("LAWNIGHT"), header.get("LAWAGE")) == (("20190610", 2) if not evidence else (None, None))
    assert result.figures.get("law of") == ("20190610" if not evidence else None)
    assert any("do not go with the law" in note for note in result.warnings) == bool(evidence)
