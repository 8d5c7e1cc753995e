"""Bias and lamp steps: a bad frame is left out and told, a bad series is a fault that says what to do."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sedmd.errors import CalibrationFault
from sedmd.job import Job
from sedmd.products.image import read_image
from sedmd.steps.calibration import make_bias, make_lamp, make_traces
from unit.reduce_scenes import rng

SHAPE, FIRST, GAIN, READ_NOISE_ADU = (512, 515), 512, 1.8, 5.0


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    """A sixteenth of the detector, with an overscan of its own."""
    for module in ("sedmd.steps.calibration", "sedmd.steps.raw"):
        monkeypatch.setattr(f"{module}.OVERSCAN_FIRST_COLUMN", FIRST)


@cache
def light(kind):
    """Electrons of an even dome or of lines: spectra every eight rows, lines every forty columns."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    across = np.exp(-0.5 * ((y % 8 - 4) / 1.3) ** 2)
    step = {"Hg": 40, "Cd": 53}.get(kind)
    along = 1.0 if step is None else np.exp(-0.5 * ((x % step - step // 2) / 1.2) ** 2)
    electrons = 2000.0 * across * along
    electrons[:, FIRST:] = 0.0
    return electrons


def write_raw(path: Path, seed: int, kind: str | None = None, even: float = 0.0) -> Path:
    """A raw frame with the light of `kind` and even light."""
    random = rng(seed)
    electrons = np.zeros(SHAPE) if kind is None else light(kind).copy()
    electrons[:, :FIRST] += even
    adu = 700 + random.poisson(electrons) / GAIN + random.normal(0, READ_NOISE_ADU, SHAPE)
    hdu = fits.PrimaryHDU(np.rint(np.maximum(adu, 0)).astype(np.uint16))
    hdu.header["GAIN"] = GAIN
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
    assert warning.startswith("ifu1.fits left out: ") and "light" in warning
    image, header = read_image(tmp_path / "bias0.1.fits")
    assert [header[f"IMCMB{k:03d}"] for k in (1, 2, 3)] == ["ifu0.fits", "ifu2.fits", "ifu3.fits"]
    assert abs(np.median(image.data)) < 0.5


def test_biases_with_light_are_a_fault_and_leave_no_product(tmp_path):
    with pytest.raises(CalibrationFault, match=r"3 of 4 frames cannot be used; the first: noise .* expected; light"):
        make_bias(bias_job(tmp_path, 200.0, 200.0, 200.0, 0.0))
    assert not (tmp_path / "bias0.1.fits").exists()


def test_single_bias_is_too_few(tmp_path):
    with pytest.raises(CalibrationFault, match="at least 2 are needed"):
        make_bias(bias_job(tmp_path, 0.0))


def test_dark_and_mislabelled_exposures_are_left_out_of_a_lamp(tmp_path):
    result = make_lamp(lamp_job(tmp_path, "Hg", "Hg", None, "Hg", "dome"))
    assert result.figures["frames"] == 2
    dark, dome = result.warnings
    assert dark.startswith("ifu11.fits left out: no spectra")
    assert dome.startswith("ifu13.fits left out: a continuum")


def test_only_exposure_that_is_left_brings_a_warning(tmp_path):
    result = make_lamp(lamp_job(tmp_path, "dome", None, "dome"))
    assert result.warnings[-1] == "dome: only ifu11.fits could be used; cosmic rays stay in it"


def test_lamp_that_was_off_is_a_fault(tmp_path):
    with pytest.raises(CalibrationFault, match=r"Hg: none of 2 exposures can be used.*was the lamp on\?"):
        make_lamp(lamp_job(tmp_path, "Hg", None, None))
    assert not (tmp_path / "Hg.fits").exists()


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
