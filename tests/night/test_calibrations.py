"""Simulated calibrations through the steps: another night of the instrument is served, another instrument is not."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sedmd.core.errors import CalibrationFault, FrameFault
from sedmd.core.job import Job, Result
from sedmd.simulate import plan_night, render_frame, to_hdu
from sedmd.steps import STEPS

pytestmark = pytest.mark.slow
NIGHT, EARLIER = "20190703", "20190612"


def write_frames(folder: Path, wanted: Callable[[str], bool], *, night: str, profile: str = "2019") -> list[Path]:
    """The frames of a mini night whose OBJECT is wanted; the seed is the instrument."""
    plan = plan_night(night=night, seed=1, size="mini", profile=profile)
    plan = replace(plan, exposures=tuple(replace(e, fault="") for e in plan.exposures))
    paths = []
    for index, exposure in enumerate(plan.exposures):
        if wanted(exposure.object):
            rendered = render_frame(plan, index)
            paths.append(folder / exposure.file)
            to_hdu(rendered.data, rendered.header).writeto(paths[-1])
    return paths


def run(step: str, outputs: dict[str, Path], options: dict[str, object] | None = None, **inputs: list[Path]) -> Result:
    given = {role: tuple(paths) for role, paths in inputs.items()}
    return STEPS[step](Job(step=step, night=NIGHT, label=step, inputs=given, outputs=outputs, options=options or {}))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Calibrations of an earlier night, one exposure a lamp."""
    folder = tmp_path_factory.mktemp("earlier")
    wanted = [*(f"bias {k} " for k in (1, 2, 3)), "dome lamp 1 ", "Hg 1 ", "Cd 1 ", "Xe 1 "]
    by_label: dict[str, list[Path]] = {}
    for path in write_frames(folder, lambda label: any(w in label for w in wanted), night=EARLIER):
        header = fits.getheader(path)
        label = str(header["OBJECT"]).split()[1]
        by_label.setdefault(f"bias{header['ADCSPEED']:.1f}" if label == "bias" else label, []).append(path)
    for label in ("bias0.1", "bias2.0"):
        run("bias", {"bias": folder / f"{label}.fits"}, raw=by_label[label])
    for lamp in ("dome", "Hg", "Cd", "Xe"):
        run("lamp", {"lamp": folder / f"{lamp}.fits"}, raw=by_label[lamp], bias=[folder / "bias2.0.fits"])
    lamps = {lamp: [folder / f"{lamp}.fits"] for lamp in ("Hg", "Cd", "Xe")}
    dome, traces, wavelength = (folder / f"{name}.fits" for name in ("dome", "traces", "wavelength"))
    run("traces", {"traces": traces}, dome=[dome], **lamps)
    run("wavelength", {"wavelength": wavelength}, traces=[traces], **lamps)
    run("flat", {"flat": folder / "flat.fits"}, dome=[dome], traces=[traces], wavelength=[wavelength])
    return folder


def cube(folder: Path, raw: Path, made: Path, **options: object) -> Result:
    used = {name: [folder / f"{name}.fits"] for name in ("traces", "wavelength", "flat")}
    outputs = {role: made / f"{role}.fits" for role in ("crr", "bs", "e3d")}
    return run("cube", outputs, options, raw=[raw], bias=[folder / "bias0.1.fits"], **used)


def test_mercury_under_the_label_of_cadmium_is_a_fault(earlier, tmp_path):
    lamps = {"Hg": earlier / "Cd.fits", "Cd": earlier / "Hg.fits", "Xe": earlier / "Xe.fits"}
    inputs = {lamp: [path] for lamp, path in lamps.items()}
    with pytest.raises(CalibrationFault, match=r"strain|could not be identified|too few groups"):
        run("traces", {"traces": tmp_path / "traces.fits"}, dome=[earlier / "dome.fits"], **inputs)
    assert not (tmp_path / "traces.fits").exists()


def test_a_lamp_of_another_geometry_than_the_domes_is_told_to_the_planner(earlier, tmp_path):
    """Somebody touched the instrument before Xe was taken: its spectra lie three rows higher."""
    with fits.open(earlier / "Xe.fits") as hdul:
        for hdu in hdul:
            if hdu.data is not None and hdu.data.ndim == 2:
                hdu.data = np.roll(hdu.data, 3, axis=0)
        hdul.writeto(tmp_path / "Xe.fits", checksum=True)
    inputs = {lamp: [earlier / f"{lamp}.fits"] for lamp in ("dome", "Hg", "Cd")}
    result = run("traces", {"traces": tmp_path / "traces.fits"}, Xe=[tmp_path / "Xe.fits"], **inputs)
    assert re.fullmatch(r"Xe (2\.[5-9]|3\.[0-5]) px", str(result.figures["off the dome"]))
    (told,) = result.warnings
    assert re.search(r"Xe\.fits \(ifu20190612_00_39_32\) lie .* of dome\.fits \(ifu20190612_00_24_30\)", told)


@pytest.mark.parametrize("served", [{"night": EARLIER, "age_nights": 21}, None], ids=["earlier", "own"])
def test_another_night_of_the_instrument_is_served_and_says_so(earlier, tmp_path, served):
    (raw,) = write_frames(tmp_path, lambda label: label.startswith("STD-"), night=NIGHT)[:1]
    result = cube(earlier, raw, tmp_path, **({"calibrations": served} if served else {}))
    header = fits.getheader(tmp_path / "e3d.fits")
    told = (header["CALNIGHT"], header["CALAGE"], header["CALFALL"])
    assert told == ((EARLIER, 21, True) if served else (NIGHT, 0, False))
    assert result.figures["chi2"] < 1.1
    expected = (f"{raw.name}: using calibrations from {EARLIER} (21 nights old)",) if served else ()
    assert result.warnings == expected


def test_another_instrument_is_refused(earlier, tmp_path):
    (raw,) = write_frames(tmp_path, lambda label: label.startswith("STD-"), night=NIGHT, profile="shifted")[:1]
    with pytest.raises(
        FrameFault, match=rf"% of the bright pixels lie off the traces of the calibrations of {EARLIER}"
    ):
        cube(earlier, raw, tmp_path, calibrations={"night": EARLIER, "age_nights": 21})
    assert not (tmp_path / "e3d.fits").exists()
