"""Plans, headers, files and truth of simulated nights."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import sedmd
from sedmd.errors import ConfigError, SedmError
from sedmd.simulate import (
    PROFILES,
    Exposure,
    Instrument,
    NightPlan,
    Pointing,
    Source,
    build_instrument,
    exposure_of,
    plan_night,
    render_exposure,
    render_frame,
    simulate_night,
    to_hdu,
    truth,
)
from sedmd.simulate.expose import efficiency, lights_of
from sedmd.simulate.headers import build_header
from sedmd.simulate.night import write_frame
from sedmd.simulate.render import column_flux
from sedmd.simulate.spectra import GRID, photons, standard_flux


@cache
def plan(profile: str = "2017", size: str = "mini", night: str = "20170612", seed: int = 1) -> NightPlan:
    return plan_night(night=night, seed=seed, size=size, profile=profile)


@cache
def instrument() -> Instrument:
    return build_instrument("2017", 1)


def index_of(night: NightPlan, kind: str) -> int:
    return next(i for i, e in enumerate(night.exposures) if e.kind == kind)


# plans ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("profile", sorted(set(PROFILES) - {"2024"}))
@pytest.mark.parametrize("size", ["mini", "full"])
def test_a_night_has_every_calibration_on_the_right_side_of_midnight(profile: str, size: str) -> None:
    night = plan(profile, size)
    used = [e for e in night.exposures if not e.ignore]
    kinds = Counter((e.kind, e.speed) if e.kind == "bias" else e.kind for e in used)
    biases, lamps = (5, 3) if size == "mini" else (10, 5)
    assert all(kinds["bias", speed.mhz] == biases for speed in night.instrument.profile.detector.speeds)
    assert all(kinds[lamp] == lamps for lamp in ("dome", "Hg", "Cd", "Xe"))
    assert kinds["twilight"] >= 1 and kinds["standard"] >= 2
    calibrations = [e for e in used if e.kind in ("bias", "dome", "Hg", "Cd", "Xe")]
    assert {e.folder for e in calibrations} == {"20170611", "20170612"}
    assert {e.utc.hour for e in calibrations} <= {20, 21, 22, 23, 0, 1}
    assert len({e.file for e in night.exposures}) == len(night)
    starts = np.array([e.start for e in night.exposures])
    ends = starts + np.array([e.exptime for e in night.exposures]) / 86400.0
    assert np.all(starts[1:] >= ends[:-1])
    assert ends[-1] < night.sunrise


def test_the_full_night_holds_every_frame_that_must_be_left_out() -> None:
    reasons = {e.ignore for e in plan(size="full").exposures if e.ignore}
    assert reasons == {
        "bias with an exposure time",
        "dome lamp off",
        "calibration outside a series",
        "test exposure",
        "dark",
        "focus run",
        "telescope stowed",
        "dome closed",
    }


def test_the_full_night_holds_every_kind_of_target() -> None:
    science = [e for e in plan(size="full").exposures if e.kind == "science" and not e.ignore]
    roles = [tuple(s.role for s in e.sources) for e in science]
    assert ("target", "host") in roles and () in roles and ("target", "neighbour") in roles
    assert any("check" in e.object for e in science)
    repeated = Counter(e.target for e in science if "[" not in e.object)
    name = next(name for name, count in repeated.items() if count == 3)
    assert len({e.exptime for e in science if e.target == name}) == 3
    far = [np.hypot(e.sources[0].x, e.sources[0].y) for e in science if e.sources]
    assert max(far) > 10.0
    assert len({e.exptime for e in plan(size="full").exposures if e.kind == "standard"}) >= 2


def test_a_pair_moves_the_object_against_the_telescope() -> None:
    a, b = (next(e for e in plan().exposures if f"[{token}]" in e.object) for token in "AB")
    assert a.target == b.target and (a.start < b.start)
    moved = np.array([a.sources[0].x - b.sources[0].x, a.sources[0].y - b.sources[0].y])
    nod = np.array(a.offset) - np.array(b.offset)
    assert moved == pytest.approx(-nod, abs=1.0)
    assert np.hypot(*nod) > 5.0


def test_flexure_changes_through_the_night_and_hardly_in_the_afternoon() -> None:
    for profile in PROFILES:
        night = plan(profile, "full")
        day = np.array([e.flexure for e in night.exposures if e.kind in ("dome", "Hg", "Cd", "Xe")])
        dark = np.array([e.flexure for e in night.exposures if e.light == "sky"])
        assert np.abs(day).max() < 0.05
        assert np.abs(dark).max() <= 1.5
        assert np.ptp(dark, axis=0).min() > 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [({"night": "2017-06-12"}, "YYYYMMDD"), ({"size": "huge"}, "mini, full"), ({"profile": "x"}, "profile")],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_night(**{"night": "20170612", "size": "mini", "profile": "2017", **change})


# headers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("profile", PROFILES)
def test_every_header_of_a_night_makes_a_file_of_the_real_size(profile: str) -> None:
    night = plan(profile, "full")
    for exposure in night.exposures:
        header = build_header(night.instrument.profile, exposure, sunset=night.sunset, sunrise=night.sunrise)
        hdu = to_hdu(np.zeros((4, 4), dtype=np.uint16), header)
        assert 109 <= len(hdu.header) + 1 <= 144
        assert hdu.header["OBJECT"] == exposure.object and hdu.header["NAME"] == exposure.target
        assert hdu.header["EXPTIME"] == exposure.exptime and hdu.header["ADCSPEED"] == exposure.speed


def test_names_of_the_cards_follow_the_epoch() -> None:
    exposure = plan().exposures[-1]
    old, new = (build_header(build_instrument(name).profile, exposure) for name in ("2017", "2019"))
    assert "PRLLTC" in old and "TEL_PA" not in old and "ENDAIR" not in old
    assert "TEL_PA" in new and "ENDAIR" in new and new["ENDAIR"] >= 1.0


def test_header_values() -> None:
    night = plan()
    exposure = night.exposures[index_of(night, "standard")]
    header = build_header(night.instrument.profile, exposure)
    stamp = exposure.utc
    assert header["UTC"] == stamp.strftime("%Y:%j:%H:%M:%S.0")
    assert header["JD"] == pytest.approx(stamp.timestamp() / 86400.0 + 2440587.5, abs=2e-6)
    assert header["AIRMASS"] == pytest.approx(exposure.airmass, abs=0.05)
    assert header["PRLLTC"] == pytest.approx(exposure.pointings[0].parallactic_deg, abs=3.0)
    assert header["DOMEST"] == "OPEN"
    lamp_off = next(e for e in plan(size="full").exposures if e.ignore == "dome lamp off")
    assert build_header(night.instrument.profile, lamp_off)["LAMPCUR"] == 0.0
    dome = night.exposures[index_of(night, "dome")]
    assert build_header(night.instrument.profile, dome)["LAMPCUR"] > 0.0
    series = [e.object for e in night.exposures if e.kind == "Hg"]
    assert series == [f"Calib:  Hg {i} of 3" for i in (1, 2, 3)]


# frames -----------------------------------------------------------------------------------------------------------
def test_a_frame_does_not_depend_on_the_frames_before_it() -> None:
    again = plan_night(night="20170612", seed=1, size="mini", profile="2017")
    i = index_of(plan(), "Hg")
    render_frame(plan(), 0)
    assert np.array_equal(render_frame(plan(), i).data, render_frame(again, i).data)
    other = plan_night(night="20170612", seed=2, size="mini", profile="2017")
    assert not np.array_equal(render_frame(plan(), i).data, render_frame(other, i).data)


def test_a_frame_is_the_same_in_another_process() -> None:
    code = (
        "import hashlib; from sedmd.simulate import plan_night, render_frame;"
        "p = plan_night(night='20170612', seed=1, size='mini', profile='kpy');"
        "print(hashlib.sha256(render_frame(p, 10).data.tobytes()).hexdigest())"
    )
    root = Path(sedmd.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == hashlib.sha256(render_frame(plan(), 10).data.tobytes()).hexdigest()


def test_a_written_frame_is_a_raw_frame(tmp_path: Path) -> None:
    night = plan()
    i = index_of(night, "standard")
    row = write_frame(night, i, tmp_path)
    path = tmp_path / "raw" / night.exposures[i].folder / night.exposures[i].file
    assert path.stat().st_size == 8_400_960
    assert not list(path.parent.glob(".*"))
    with fits.open(path) as hdus:
        assert len(hdus) == 1
        assert hdus[0].data.shape == (2048, 2048) and hdus[0].data.dtype == np.uint16
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        assert (hdus[0].header["BITPIX"], hdus[0].header["BZERO"], hdus[0].header["BSCALE"]) == (16, 32768, 1)
    stem = path.stem
    spectra = Table.read(tmp_path / "truth" / f"{stem}_spectra.fits", hdu="SPECTRA")
    star = night.exposures[i].sources[0].name
    assert np.allclose(spectra["flux1"], standard_flux(star))
    scattered = fits.getdata(tmp_path / "truth" / f"{stem}_scattered.fits.gz")
    assert scattered.shape == (128, 128) and scattered.min() > 0.0
    assert fits.getdata(tmp_path / "truth" / f"{stem}_cosmics.fits", "COSMICS").sum() > 0
    assert row["source_names"] == star and row["cosmics"] > 0


def test_electrons_of_a_star_are_photons_times_efficiency_area_and_time() -> None:
    made = instrument()
    star = Source(name="s", x=0.5, y=0.4, flux=standard_flux("Feige34"))
    exposure = Exposure(
        kind="science", start=2457916.7, object="s", target="s", exptime=100.0, speed=0.1, light="sky", sources=(star,),
        pointings=(Pointing(airmass=1.0, parallactic_deg=0.0),), water_mm=0.0,
    )  # fmt: skip
    light = lights_of(made, exposure)[-1]
    flux = column_flux(made.optics, [light]).flux
    # a lenslet of mean throughput would collect this; shares weigh the real ones
    collected = photons(GRID, star.flux) * efficiency(made) * made.profile.throughput.area_cm2 * 100.0
    assert light.continuum is not None and light.shares is not None
    assert np.all(light.continuum <= collected)
    middle = np.argmin(np.abs(GRID - 5556.0))
    assert light.continuum[middle] / collected[middle] == pytest.approx(10 ** (-0.4 * 0.151), abs=1e-3)
    weighted = (made.optics.gain * light.shares[:, 9]).sum()
    assert flux.sum() == pytest.approx(np.trapezoid(light.continuum, GRID) * weighted, rel=0.03)


def test_one_exposure_by_hand() -> None:
    made = instrument()
    star = Source(name="s", x=0.0, y=0.0, flux=standard_flux("Feige34"))
    exposure = Exposure(
        kind="science", start=2457916.7, object="s", target="s", exptime=60.0, speed=0.1, light="sky", sources=(star,),
        flexure=(0.5, -0.5),
    )  # fmt: skip
    frame = render_exposure(made, exposure, rng=3)
    i = int(np.argmin(np.hypot(made.optics.sky_x, made.optics.sky_y)))
    x, y = made.optics.x0[i] + 0.5, made.optics.y0[i] - 0.5
    assert frame.expected.image[round(y), round(x)] > 50.0 * np.median(frame.expected.image)
    assert np.array_equal(frame.data, render_exposure(made, exposure, rng=3).data)
    dark = replace(exposure, light="dark", sources=())
    assert not render_exposure(made, dark, rng=3).expected.image.any()


@pytest.mark.parametrize(("airmass", "west"), [(1.0, True), (1.3, False), (2.0, True)])
def test_an_exposure_by_hand_is_consistent(airmass: float, west: bool) -> None:
    exposure = exposure_of(instrument(), exptime=600.0, airmass=airmass, west=west)
    assert exposure.airmass == pytest.approx(airmass, abs=0.01)
    header = build_header(instrument().profile, exposure)
    assert header["AIRMASS"] == pytest.approx(airmass, abs=0.06)
    assert header["HA"].startswith("-" if airmass == 1.0 or not west else "+")
    if airmass > 1.1:
        assert all((p.parallactic_deg > 0.0) is west for p in exposure.pointings)


def test_an_airmass_out_of_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"airmass 1\.\d+ or more"):
        exposure_of(instrument(), airmass=1.05, dec=-20.0)


def test_flux_on_the_chip_grows_with_time_and_falls_with_airmass() -> None:
    made = instrument()
    star = Source(name="s", x=0.0, y=0.0, flux=standard_flux("Feige34"))

    def electrons(exptime: float, airmass: float) -> float:
        light = lights_of(made, exposure_of(made, (star,), exptime=exptime, airmass=airmass))[-1]
        return float(column_flux(made.optics, [light]).flux.sum())

    assert electrons(600.0, 1.0) / electrons(60.0, 1.0) == pytest.approx(10.0, rel=5e-3)
    assert 0.75 < electrons(60.0, 2.0) / electrons(60.0, 1.0) < 0.92


def test_spaxel_truth_is_the_optics() -> None:
    optics = instrument().optics
    table = truth.spaxel_table(optics)
    assert len(table) == len(optics) and table["complete"].sum() == optics.complete().sum()
    k = int(np.nonzero(table["complete"])[0][7])
    assert np.interp(5460.75, truth.WAVELENGTHS, table["wave_x"][k]) == pytest.approx(
        float(optics.x_of(5460.75)[k]), abs=0.05
    )
    middle = truth.TRACE_POINTS // 2
    assert table["trace_y"][k, middle] == pytest.approx(
        float(optics.y_of(np.asarray(table["trace_x"], dtype=float))[k, middle]), abs=1e-3
    )


def test_workers_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(SedmError, match="at least 1"):
        simulate_night(tmp_path, night="20170612", workers=0)


@pytest.mark.slow
def test_a_whole_mini_night_by_two_workers_is_that_of_one(tmp_path: Path) -> None:
    seen: list[str] = []
    one = simulate_night(tmp_path / "one", night="20190612", seed=4, size="mini", profile="2019",
                         progress=lambda done, total, name: seen.append(name))  # fmt: skip
    two = simulate_night(tmp_path / "two", night="20190612", seed=4, size="mini", profile="2019", workers=2)
    files = sorted(p.relative_to(one) for p in one.rglob("*.fits*"))
    assert files == sorted(p.relative_to(two) for p in two.rglob("*.fits*"))
    raw = [f for f in files if f.parts[0] == "raw"]
    assert len(raw) == len(seen) == 30
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in raw)
    frames = Table.read(one / "truth" / "frames.fits")
    assert [str(f) for f in frames["file"]] == [f.name for f in raw]
    assert np.all(np.isfinite(frames["flexure_x"]))
    assert (one / "truth" / "spaxels.fits").is_file() and (one / "truth" / "sensitivity.fits").is_file()
