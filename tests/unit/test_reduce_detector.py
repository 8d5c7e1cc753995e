"""Overscan, bias, read noise and the combination of exposures against closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.core.instrument import Sections
from sedmd.reduce.detector.bias import MasterBias, combine_bias, robust_sigma
from sedmd.reduce.detector.ccd import combine_exposures, debias
from sedmd.reduce.detector.overscan import overscan_level
from sedmd.reduce.numeric.containers import Mask
from unit.reduce_scenes import READ_NOISE, expose, quiet, rng

NY, NX, FIRST = 256, 515, 512
SECTIONS = Sections(image=(0, NX), scans=((FIRST, NX),))


def bias_frames(n=10, *, read_noise=4.0, pedestal=1000.0, seed=1, pattern=None):
    """Bias frames of one structure on a pedestal that drifts from frame to frame and along the rows."""
    random = rng(seed)
    structure = np.zeros((NY, NX)) if pattern is None else pattern
    drift = [pedestal + 7.0 * k + np.linspace(-3, 3, NY)[:, None] for k in range(n)]
    return [np.rint(structure + d + random.normal(0, read_noise, (NY, NX))).astype(np.uint16) for d in drift]


def structure():
    _y, x = np.mgrid[:NY, :NX]
    return np.where(x < FIRST, 6.0 * np.sin(2 * np.pi * x / 256.0), 0.0)


def plain_master(level=0.0, read_noise=4.0, n=10, bad=None):
    return MasterBias(
        level=np.where(np.arange(NX) < FIRST, level, 0.0) * np.ones((NY, 1), np.float32),
        pedestal=1000.0,
        read_noise_adu=read_noise,
        bad=np.zeros((NY, NX), bool) if bad is None else bad,
        n_frames=n,
    )


@pytest.mark.parametrize("slope", [0.0, 0.02, -0.05])
def test_overscan_follows_a_slow_drift_along_the_rows(slope):
    raw = np.repeat(1000.0 + slope * np.arange(NY)[:, None], NX, axis=1)
    level = overscan_level(raw, SECTIONS)
    assert level.shape == (NY,)
    # Away from the ends by the reach of both windows a straight line comes back as it is.
    assert_allclose(level[60:-60], raw[60:-60, 0], atol=2e-3)
    assert_allclose(level, raw[:, 0], atol=abs(slope) * 30 + 2e-3)


def test_overscan_ignores_a_wild_row_and_takes_off_the_read_noise():
    raw = 1000.0 + rng().normal(0, 4.0, (NY, NX))
    raw[100] += 5000
    level = overscan_level(raw, SECTIONS)
    assert np.std(level) < 0.8
    assert level.mean() == pytest.approx(1000, abs=0.6)


def test_master_bias_holds_the_structure_and_not_the_pedestal():
    master = combine_bias(bias_frames(10, pattern=structure()), SECTIONS)
    error = (master.level - structure())[:, :FIRST]
    # Read noise of the mean, and of three overscan columns smoothed over 51 rows.
    assert error.std() == pytest.approx(4.0 / np.sqrt(10), rel=0.06)
    assert abs(error.mean()) < 0.25
    assert master.n_frames == 10


@pytest.mark.parametrize("read_noise", [0.7, 2.5, 4.0, 12.0])
def test_read_noise_is_measured_through_whole_numbers_and_structure(read_noise):
    frames = bias_frames(6, read_noise=read_noise, pattern=structure())
    # Rounding to whole ADU adds 1/12; the differences of whole numbers are corrected for it or hardly feel it.
    assert combine_bias(frames, SECTIONS).read_noise_adu == pytest.approx(np.sqrt(read_noise**2 + 1 / 12), rel=0.03)


def test_cosmic_ray_on_a_bias_leaves_no_mark_and_a_hot_column_is_marked():
    frames = bias_frames(8)
    frames[3][50, 60:70] += 8000
    for frame in frames:
        frame[:, 200] += 300
    master = combine_bias(frames, SECTIONS)
    assert np.abs(master.level[50, 60:70]).max() < 6
    assert not master.bad[50, 60:70].any()
    assert master.bad[:, 200].mean() > 0.99
    assert_allclose(np.median(master.level[:, 200]), 300, atol=1)
    assert np.delete(master.bad, 200, axis=1).mean() < 1e-3


def test_hot_and_cold_pixels_of_a_few_read_noises_are_marked_and_the_level_of_a_column_is_not():
    frames = bias_frames(10, pattern=structure())
    rows, columns = np.arange(5, 195, 10), np.arange(10, 200, 10)
    for frame in frames:
        # nine errors of the mean of ten frames with a read noise of 4 ADU; and columns that differ by as much
        frame[rows, columns] = frame[rows, columns].astype(int) + np.where(columns > 100, 11, -11)
        frame[:, 33::40] += 11
    master = combine_bias(frames, SECTIONS)
    assert master.bad[rows, columns].mean() > 0.9
    good = np.ones(master.bad.shape, bool)
    good[rows, columns] = False
    assert not master.bad[good].any()


def test_one_bias_is_not_enough_to_know_the_noise():
    with pytest.raises(ValueError, match="at least 2"):
        combine_bias(bias_frames(1), SECTIONS)


@pytest.mark.parametrize("sigma", [1.5, 3.0, 40.0])
@pytest.mark.parametrize("whole", [True, False])
def test_robust_sigma_is_the_sigma_of_the_core(sigma, whole):
    values = rng(2).normal(0, sigma, 200_000)
    values[:4000] += 1e4
    values = np.rint(values) if whole else values
    # Two per cent of wild values widen the percentiles a little.
    truth = np.sqrt(sigma**2 + (1 / 12 if whole else 0))
    assert robust_sigma(values[::-1]) == pytest.approx(truth, rel=0.06)


def test_debias_gives_electrons_with_their_variance():
    raw = np.full((NY, NX), 1200, np.uint16)
    raw[:, FIRST:] = 1000
    image, _ = debias(raw, plain_master(level=50.0), gain=1.8, sections=SECTIONS, saturation_adu=50000)
    assert_allclose(image.data[:, :FIRST], 1.8 * 150, rtol=1e-5)
    floor = (1.8 * 4.0) ** 2 * (1 + 1 / 10)
    assert_allclose(image.variance[:, :FIRST], 1.8 * 150 + floor, rtol=1e-5)
    assert image.read_noise == pytest.approx(np.sqrt(floor))


def test_debias_variance_is_the_scatter_of_many_frames():
    gain, read_noise, light = 1.8, 4.0, 900.0
    random = rng(4)
    master = combine_bias(bias_frames(10, read_noise=read_noise), SECTIONS)
    electrons = random.poisson(light, (NY, NX)).astype(float)
    electrons[:, FIRST:] = 0
    raw = np.rint(electrons / gain + 1000 + random.normal(0, read_noise, (NY, NX))).astype(np.uint16)
    image, _ = debias(raw, master, gain=gain, sections=SECTIONS, saturation_adu=50000)
    pull = ((image.data - light) / np.sqrt(image.variance))[:, :FIRST]
    assert pull.std() == pytest.approx(1, abs=0.02)
    assert pull.mean() == pytest.approx(0, abs=0.05)


def test_mask_says_saturated_bad_and_no_data():
    raw = np.full((NY, NX), 1000, np.uint16)
    raw[30, 40] = 60000
    bad = np.zeros((NY, NX), bool)
    bad[7, 8] = True
    image, _ = debias(raw, plain_master(bad=bad), gain=1.0, sections=SECTIONS, saturation_adu=50000)
    saturated = (image.mask & Mask.SATURATED) != 0
    # Charge spills along the column, and a little to the sides.
    column = [(row, 40) for row in (27, 28, 29, 30, 31, 32, 33)]
    assert sorted(map(tuple, np.argwhere(saturated))) == sorted([*column, (30, 39), (30, 41)])
    assert image.mask[7, 8] == Mask.BAD_PIXEL
    assert (image.mask[:, FIRST:] == Mask.NO_DATA).all()
    assert (image.mask != 0).sum() == 9 + 1 + NY * (NX - FIRST)


def test_frame_and_bias_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="do not go together"):
        debias(np.zeros((10, 10), np.uint16), plain_master(), gain=1.0, sections=SECTIONS, saturation_adu=5e4)


def lamp(shape=(200, 300)):
    """Lines on a dark frame: half the pixels lit up to 3000 electrons."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 3000.0 * np.exp(-0.5 * ((y % 12 - 6) / 1.8) ** 2) * (0.3 + 0.7 * np.sin(x / 40.0) ** 2) + 5.0


@pytest.mark.parametrize("n", [2, 3, 5])
def test_mean_exposure_survives_cosmic_rays(n):
    truth = lamp()
    images = [expose(truth, seed=k) for k in range(n)]
    images[1].data[100, 50:80] += 4000
    images[0].data[40:60, 200] += 900
    combined, scales, _ = combine_exposures(images, lines=False)
    error = combined.data - truth * np.mean([combined.data.mean() / truth.mean()])
    pull = error / np.sqrt(combined.variance)
    hit = np.zeros(truth.shape, bool)
    hit[100, 50:80] = hit[40:60, 200] = True
    assert np.abs(pull[hit]).max() < 6
    assert pull[~hit].std() == pytest.approx(1, abs=0.04)
    assert_allclose(scales, 1, atol=0.01)


def test_dark_frame_is_left_out():
    truth = lamp()
    dark = expose(np.zeros_like(truth), seed=9)
    combined, scales, reasons = combine_exposures(
        [expose(truth, 1), dark, expose(truth, 2), expose(truth, 3)], lines=False
    )
    assert [bool(reason) for reason in reasons] == [False, True, False, False]
    assert scales[1] == 0
    assert_allclose(np.delete(scales, 1), 1, atol=0.01)
    assert combined.data.sum() == pytest.approx(truth.sum(), rel=0.005)
    assert combined.read_noise == pytest.approx(READ_NOISE / np.sqrt(3))


def test_flicker_of_the_lamp_is_told_and_taken_off():
    truth = lamp()
    levels = np.array([0.8, 1.0, 1.15])
    combined, scales, _ = combine_exposures([quiet(level * truth) for level in levels], lines=False)
    assert_allclose(scales, levels, rtol=1e-3)
    assert_allclose(combined.data, truth, rtol=1e-3)


def test_pixel_that_is_bad_in_every_exposure_stays_marked():
    images = [expose(lamp(), seed=k) for k in range(3)]
    for image in images:
        image.mask[10, 20] = Mask.BAD_PIXEL
    images[0].mask[30, 40] = Mask.COSMIC
    combined, _, _ = combine_exposures(images, lines=False)
    assert combined.mask[10, 20] & Mask.BAD_PIXEL
    assert combined.mask[30, 40] == 0


@pytest.mark.parametrize("images", [[], [expose(np.zeros((100, 100)), seed=k) for k in range(3)]])
def test_no_light_at_all_is_said(images):
    with pytest.raises(ValueError, match=r"no exposure|was the lamp on"):
        combine_exposures(images, lines=False)
