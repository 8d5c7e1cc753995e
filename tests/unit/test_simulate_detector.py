"""The simulated camera: gain and read noise can be measured back, saturation and bleeding, cosmic rays, bias."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sedmd.simulate import load_profile
from sedmd.simulate.detector import Chip, bleed, build_chip, cosmic_rays, read_out

PROFILE = load_profile("2019")  # the camera whose last three columns see no light
DARK = np.zeros((2048, 2048), dtype=np.float32)


@cache
def chip() -> Chip:
    return build_chip(PROFILE, 5)


def frame(expected: np.ndarray, seed: int, *, exptime: float = 0.0, mhz: float = 0.1, drift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return read_out(PROFILE, chip(), expected, exptime=exptime, mhz=mhz, drift=drift, rng=rng).data


def quiet(values: np.ndarray) -> float:
    low, high = np.percentile(values, [15.865, 84.135])
    return float(high - low) / 2.0


@pytest.mark.parametrize("mhz", [0.1, 2.0])
def test_read_noise_from_a_pair_of_biases(mhz: float) -> None:
    first, second = (frame(DARK, seed, mhz=mhz).astype(float) for seed in (1, 2))
    difference = first - second
    difference -= np.median(difference, axis=1, keepdims=True)
    speed = PROFILE.detector.speed(mhz)
    noise = np.std(difference[np.abs(difference) < 6.0 * quiet(difference)]) / np.sqrt(2.0) * PROFILE.detector.gain
    assert noise == pytest.approx(np.hypot(speed.read_noise, PROFILE.detector.gain / np.sqrt(12.0)), rel=0.01)


def test_gain_from_a_photon_transfer() -> None:
    light = np.full((2048, 2048), 20000.0, dtype=np.float32)
    first, second = (frame(light, seed, exptime=10.0).astype(float)[200:600, 200:600] for seed in (3, 4))
    level = 0.5 * (first + second).mean() - PROFILE.detector.speed(0.1).bias
    difference = first - second
    good = np.abs(difference) < 6.0 * quiet(difference)
    variance = 0.5 * np.var(difference[good])
    variance -= (PROFILE.detector.speed(0.1).read_noise / PROFILE.detector.gain) ** 2
    assert level / variance == pytest.approx(PROFILE.detector.gain, rel=0.02)


def test_level_is_linear_up_to_the_converter() -> None:
    for electrons in (1000.0, 50000.0):
        data = frame(np.full((2048, 2048), electrons, dtype=np.float32), 7)
        expected = electrons / PROFILE.detector.gain + PROFILE.detector.speed(0.1).bias
        assert np.median(data[:, :2040]) == pytest.approx(expected, rel=0.005)


def test_saturation_is_65535() -> None:
    light = DARK.copy()
    light[900:903, 1000:1003] = 140000.0
    data = frame(light, 8)
    assert data.dtype == np.uint16 and data.shape == (2048, 2048)
    assert np.all(data[900:903, 1000:1003] == 65535)


def test_bleeding_conserves_charge_and_stays_in_the_column() -> None:
    electrons = np.zeros((60, 5), dtype=np.float32)
    electrons[30, 2] = 1000.0
    bleed(electrons, 100.0)
    assert electrons.sum() == pytest.approx(1000.0)
    assert electrons.max() <= 100.0 + 1e-3
    assert not electrons[:, [0, 1, 3, 4]].any()
    assert electrons[31:, 2].sum() == pytest.approx(electrons[:30, 2].sum(), abs=100.0)


def test_overscan_sees_no_light_and_follows_the_rows() -> None:
    data = frame(np.full((2048, 2048), 5000.0, dtype=np.float32), 9, exptime=100.0, drift=6.0).astype(float)
    level = PROFILE.detector.speed(0.1).bias + 6.0
    assert np.median(data[:, 2045:]) == pytest.approx(level, abs=2.0)
    bias = frame(DARK, 10, drift=6.0).astype(float)
    rows = np.median(bias[:, 1800:2040], axis=1)
    overscan = bias[:, 2045:].mean(axis=1)
    smooth = np.ones(51) / 51.0
    difference = np.convolve(rows - overscan, smooth, "valid")
    assert difference.std() < 0.5 * np.convolve(rows, smooth, "valid").std() + 0.4


def test_cosmic_rays_are_as_many_as_asked_and_form_tracks() -> None:
    rng = np.random.default_rng(11)
    index, charge, count = cosmic_rays(PROFILE, 3600.0, rng)
    area = (2048 * PROFILE.detector.pixel_um * 1e-4) ** 2
    expected = PROFILE.detector.cosmic_rate * area * 60.0
    assert count == pytest.approx(expected, abs=5.0 * np.sqrt(expected))
    assert np.all(charge > 0.0)
    pixels = np.unique(index)
    assert len(pixels) > 2 * count
    # a pixel of a track has a neighbour that is hit too
    near = np.isin(pixels + 1, pixels) | np.isin(pixels + 2048, pixels) | np.isin(pixels - 1, pixels)
    assert near.mean() > 0.5


def test_the_truth_of_hits_is_the_charge_that_they_left_in_the_frame() -> None:
    dark = np.zeros((2048, 2048), dtype=np.float32)
    made = replace(chip(), hot_rate=np.zeros_like(chip().hot_rate), bias=np.zeros_like(chip().bias))
    rng = np.random.default_rng(4)
    out = read_out(PROFILE, made, dark, exptime=300.0, mhz=0.1, drift=0.0, rng=rng)
    hit = out.cosmic_charge > 300.0
    adu = out.data.astype(float)[:, PROFILE.frame.prescan :][:, : PROFILE.frame.columns]
    left = (adu - PROFILE.detector.speed(0.1).bias) * PROFILE.detector.gain
    assert 50 < hit.sum() < 20000
    assert (left[hit] - out.cosmic_charge[hit]) == pytest.approx(0.0, abs=60.0)
    assert np.median(out.cosmic_charge[~hit]) == 0.0


def test_a_camera_gives_up_its_share_of_the_exposure_before_and_no_other_bit_changes_without() -> None:
    former = np.zeros((2048, PROFILE.frame.columns), dtype=np.float32)
    former[:, 500:600] = 50_000.0

    def read(share: float, before: np.ndarray | None) -> np.ndarray:
        camera = replace(PROFILE, detector=replace(PROFILE.detector, persistence=share))
        rng = np.random.default_rng(9)
        return read_out(camera, chip(), DARK, exptime=0.0, mhz=0.1, drift=0.0, rng=rng, former=before).data

    without = read(0.0, None)
    assert np.array_equal(read(0.0, former), without) and np.array_equal(read(0.01, None), without)
    left = (read(0.01, former).astype(float) - without.astype(float)) * PROFILE.detector.gain
    assert left[:, 500:600].mean() == pytest.approx(500.0, abs=1.0)
    assert np.abs(np.delete(left, np.s_[500:600], axis=1)).max() == 0.0


def test_no_time_no_cosmic_rays() -> None:
    assert cosmic_rays(PROFILE, 0.0, np.random.default_rng(1))[2] == 0


def test_hot_and_dead_pixels_are_there() -> None:
    light = np.full((2048, 2048), 3000.0, dtype=np.float32)
    data = frame(light, 12, exptime=600.0).astype(float) - PROFILE.detector.speed(0.1).bias
    seen = data[:, : PROFILE.frame.columns]
    assert np.mean(seen.ravel()[chip().hot_index[chip().hot_rate > 50.0]] > 10000.0) > 0.9
    dead = chip().sensitivity < 0.4
    assert dead.sum() >= 0.8 * PROFILE.detector.dead_pixels
    assert np.median(seen[dead]) < 0.7 * np.median(seen)


def test_bias_structure_is_the_same_in_every_frame_of_a_camera() -> None:
    assert np.array_equal(build_chip(PROFILE, 5).bias, chip().bias)
    assert chip().bias[:, :2045].std() > 0.5


def test_columns_before_and_after_the_light_follow_the_bias_alone() -> None:
    # the camera since 2023: 2088 columns of which 20 on either side see nothing; light begins in column 20
    profile = load_profile("2024")
    made = build_chip(profile, 5)
    light = np.full((2048, 2048), 8000.0, dtype=np.float32)
    light[:, 0] = 20000.0
    rng = np.random.default_rng(3)
    out = read_out(profile, made, light, exptime=20.0, mhz=1.0, drift=4.0, rng=rng)
    data, level = out.data.astype(float), profile.detector.speed(1.0).bias + 4.0
    assert data.shape == (2048, 2088) and out.cosmic_charge.shape == (2048, 2048)
    assert np.median(data[:, :20]) == pytest.approx(level, abs=2.0)
    assert np.median(data[:, 2068:]) == pytest.approx(level, abs=2.0)
    assert np.median(data[:, 20]) == pytest.approx(level + 20000.0 / 0.9, rel=0.01)
    assert np.median(data[:, 2067]) == pytest.approx(level + 8000.0 / 0.9, rel=0.01)
