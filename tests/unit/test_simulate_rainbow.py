"""Frames of the simulated rainbow camera: where targets stand, what the headers say, and that none comes unasked."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from astropy.io import fits

from sedmd.core.errors import SedmError
from sedmd.products.star_files import stars_of_file
from sedmd.simulate import plan_night, simulate_night
from sedmd.simulate.headers import encoder_of
from sedmd.simulate.rainbow import (
    ACQUISITION_PIXEL,
    CROSS_X,
    CROSS_Y,
    build_rainbow_camera,
    filter_map,
    frames_of,
    render_rainbow,
)
from sedmd.simulate.rainbow_night import (
    frame_name,
    guided,
    julian_year,
    rainbow_header,
    write_catalogue,
    write_rainbow_frames,
)
from sedmd.simulate.rainbow_sky import field_sky


@cache
def night(seed=1):
    return plan_night(size="least", seed=seed)


def science(seed=1):
    return next(k for k, one in enumerate(night(seed).exposures) if one.kind == "science")


def test_cadence_of_the_robot():
    exposure = night().exposures[science()]
    frames = frames_of(build_rainbow_camera(1), exposure, seed=1)
    assert [one.purpose for one in frames[:2]] == ["acquisition", "guider"]
    begins = np.array([(one.start - exposure.start) * 86400 for one in frames])
    assert begins[0] < -30 and begins[1] == pytest.approx(5.0, abs=1e-3)
    assert np.diff(begins[1:]) == pytest.approx(40.0, abs=1e-3)
    assert begins[-1] + frames[-1].exptime <= exposure.exptime - 7 + 1e-3
    assert len(frames_of(build_rainbow_camera(1), exposure, seed=1, most=4)) == 5


@pytest.mark.parametrize("seed", range(1, 9))
def test_where_the_target_stands(seed):
    exposure, camera = night(seed).exposures[science(seed)], build_rainbow_camera(seed)
    acquired, *guided_by = frames_of(camera, exposure, seed=seed, most=5)
    x, y = camera.pixel(*acquired.aim)
    rows, columns = filter_map()["r"]
    assert columns.start < x < columns.stop and rows.start < y < rows.stop
    for one in guided_by:
        x, y = camera.pixel(*one.aim)
        assert CROSS_X[0] < x < CROSS_X[1] and CROSS_Y[0] < y < CROSS_Y[1]
        assert np.hypot(one.aim[0] - exposure.aim[0], one.aim[1] - exposure.aim[1]) < 1.5
    # East is at low columns and North at low rows
    x0, y0 = camera.pixel(0.0, 0.0)
    assert camera.pixel(50.0, 0.0)[0] < x0 - 100 and camera.pixel(0.0, 50.0)[1] < y0 - 100


def test_a_frame_and_its_header(tmp_path):
    plan, index = night(), science()
    exposure, camera = plan.exposures[index], build_rainbow_camera(1)
    rows = write_rainbow_frames(plan, index, tmp_path, most=1)
    assert [row["purpose"] for row in rows] == ["acquisition", "guider"]
    frame = frames_of(camera, exposure, seed=1, most=1)[1]
    path = tmp_path / "raw" / exposure.folder / frame_name(frame)
    with fits.open(path) as hdul:
        header, data = hdul[0].header, hdul[0].data
    assert data.shape == (2048, 2048) and header["BITPIX"] == 16
    assert header["OBJECT"] == f"Guider: {exposure.target}" and header["IMGTYPE"] == "Guider"
    assert (header["CRPIX1"], header["CRPIX2"]) == ACQUISITION_PIXEL and header["CDELT1"] == -0.00010944
    assert header["GAIN"] == 1.77 and header["ADCSPEED"] == 2.0 and header["EXPTIME"] == 30.0
    ra, dec = encoder_of(exposure)
    assert header["CRVAL1"] == pytest.approx(ra - 0.03333) and header["CRVAL2"] == pytest.approx(dec - 0.03333)
    assert np.array_equal(data, render_rainbow(camera, exposure, frame, seed=1, year=julian_year(frame.start)))
    acquired = rainbow_header(plan, exposure, frames_of(camera, exposure, seed=1, most=1)[0])
    assert acquired["OBJECT"] == f"ACQ-{exposure.target} r" and acquired["RA_OFF"] == 60.0
    # nothing shines on the cross
    assert np.median(data[:, 1000]) == pytest.approx(np.median(data[1000]), abs=3)
    assert np.median(data[:, 1000]) < np.median(data[1300:, 1300:]) - 5


def test_clouds_dim_the_stars_and_not_the_chip():
    plan, index = night(), science()
    exposure, camera = plan.exposures[index], build_rainbow_camera(1)
    frame = frames_of(camera, exposure, seed=1, most=1)[1]
    sky = field_sky(exposure.ra, exposure.dec, seed=1)
    near = [star for star in sky.at(2024.5) if 11 < star.magnitudes["r"] < 17]
    clear, dim = (
        render_rainbow(camera, exposure, replace(frame, transparency=t), seed=1, year=2024.5).astype(float) - 620
        for t in (1.0, 0.5)
    )
    ratios = []
    for star in near:
        x, y = camera.pixel(star.east + frame.aim[0], star.north + frame.aim[1])
        i, j = round(float(x)), round(float(y))
        if 1270 < i < 2030 and 1270 < j < 2030 and clear[j, i] < 50000:
            a, b = (one[j - 6 : j + 7, i - 6 : i + 7] for one in (clear, dim))
            ratios.append((b - np.median(dim[1300:, 1300:])).sum() / (a - np.median(clear[1300:, 1300:])).sum())
    assert len(ratios) > 5 and np.median(ratios) == pytest.approx(0.5, abs=0.03)


def test_the_catalogue_holds_the_stars_that_are_drawn(tmp_path):
    plan = night()
    stars = np.concatenate(list(stars_of_file(write_catalogue(plan, tmp_path), faintest_mag=30.0)))
    fields = [one for one in plan.exposures if guided(one)]
    assert len(fields) == 2
    sky = field_sky(fields[1].ra, fields[1].dec, seed=1)
    assert 0.9 < sky.known[sky.g_mag < 18].mean() < 1.0 and not sky.known[sky.g_mag > 19].any()
    one = stars[np.argmin(np.hypot(stars["ra"] - fields[1].ra, stars["dec"] - fields[1].dec))]
    east, north = (
        (one["ra"] - fields[1].ra) * np.cos(np.deg2rad(one["dec"])) * 3600,
        (one["dec"] - fields[1].dec) * 3600,
    )
    assert np.hypot(sky.east - east, sky.north - north).min() < 0.01


def test_fields_differ_and_stay_what_they_are():
    counts = [len(field_sky(float(ra), 30.0, seed=1).east) for ra in range(0, 360, 12)]
    assert min(counts) < 200 and max(counts) > 3000
    one, two = field_sky(10.0, 20.0, seed=1), field_sky.__wrapped__(10.0, 20.0, seed=1)
    assert np.array_equal(one.east, two.east) and np.array_equal(one.bp_rp, two.bp_rp)


def test_none_comes_unasked(tmp_path, monkeypatch):
    import sedmd.simulate.night as module

    monkeypatch.setattr(module, "write_frame", lambda plan, index, out: {})
    monkeypatch.setattr(module.truth, "write_night_truth", lambda plan, rows, folder: None)
    simulate_night(tmp_path, size="least")
    assert not list(tmp_path.rglob("rc*")) and not (tmp_path / "stars").exists()
    simulate_night(tmp_path, size="least", rc=1)
    assert len(list((tmp_path / "raw").rglob("rc*.fits"))) == 4 and list((tmp_path / "stars").glob("gaia_*.csv"))
    assert len(fits.getdata(tmp_path / "truth" / "rc.fits", 1)) == 4
    with pytest.raises(SedmError, match="guider frames"):
        simulate_night(tmp_path, rc=-1)
