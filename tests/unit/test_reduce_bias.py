"""Bias frames of both kinds of camera: which can be used, light in few or most of them, their level under light."""

import numpy as np
import pytest

from sedmd.core.instrument import Sections
from sedmd.reduce.detector.bias import bias_reasons, combine_bias
from sedmd.reduce.detector.ccd import debias
from sedmd.reduce.detector.overscan import image_columns, overscan_level, scan_level
from sedmd.reduce.numeric.containers import Mask
from unit.reduce_scenes import rng

NY, GAIN = 384, 1.8
#: Three doubtful columns at the right edge, and twenty certain ones on both sides.
NARROW = Sections(image=(0, 515), scans=((512, 515),))
WIDE = Sections(image=(20, 532), scans=((0, 20), (532, 552)))
CAMERAS = [pytest.param(NARROW, id="three columns"), pytest.param(WIDE, id="both sides")]


def width(sections):
    return max(stop for _, stop in sections.scans)


def frame(seed, sections, *, noise=4.0, light=0.0, level=1000.0, structure=True):
    """Raw frame: row and column patterns, and `light` [ADU] with its photon noise on the image columns.

    The structure is that of a real camera: the columns at the left are higher, the two scan blocks differ by 3 ADU.
    """
    random = rng(seed)
    y, x = np.mgrid[:NY, : width(sections)]
    adu = level + 2.0 * np.sin(y / 90.0)
    if structure:
        adu = adu + 4.0 * np.exp(-x / 30.0) + 1.5 * np.sin(x / 40.0)
    lit = np.zeros(adu.shape)
    lit[:, image_columns(sections)] = np.broadcast_to(light, adu.shape)[:, image_columns(sections)]
    electrons = random.poisson(lit * GAIN)
    return np.rint(adu + electrons / GAIN + random.normal(0, noise, adu.shape)).astype(np.uint16)


def spectra(sections, height):
    """Light of spectra every eight rows [ADU]."""
    y = np.arange(NY)[:, None]
    return height * np.exp(-0.5 * ((y % 8 - 4) / 1.3) ** 2) * np.ones((1, width(sections)))


def judged(frames, sections):
    return bias_reasons(frames, [overscan_level(f, sections) for f in frames], sections)


def bad(frames, sections):
    return [bool(reason) for reason in judged(frames, sections)]


@pytest.mark.parametrize("sections", CAMERAS)
@pytest.mark.parametrize("noise", [2.8, 12.0])
def test_biases_pass(sections, noise):
    assert judged([frame(k, sections, noise=noise, level=900.0 + 8.0 * k) for k in range(5)], sections) == ("",) * 5


@pytest.mark.parametrize("sections", CAMERAS)
@pytest.mark.parametrize("light", [3.0, 17.0, 200.0])
@pytest.mark.parametrize("dark", [4, 2])
def test_light_is_found_in_one_and_in_most_of_a_series(sections, light, dark):
    frames = [frame(k, sections, light=light if k >= dark else 0.0) for k in range(6)]
    assert bad(frames, sections) == [k >= dark for k in range(6)]
    assert bad(frames[::-1], sections) == [k >= dark for k in range(6)][::-1]


@pytest.mark.parametrize("sections", CAMERAS)
def test_light_that_differs_from_frame_to_frame_is_found_too(sections):
    frames = [frame(k, sections, light=light) for k, light in enumerate((40.0, 25.0, 14.0, 6.0, 0.0, 0.0))]
    assert bad(frames, sections) == [True] * 4 + [False] * 2


@pytest.mark.parametrize("sections", CAMERAS)
def test_change_of_the_camera_is_no_light_and_the_majority_is_right(sections):
    frames = [frame(k, sections) for k in range(6)]
    for lowered in frames[:2]:
        lowered[:, image_columns(sections)] -= 6  # no photon noise comes with it
    assert bad(frames, sections) == [True, True, False, False, False, False]


@pytest.mark.parametrize("sections", CAMERAS)
def test_light_in_all_of_them_is_found_by_its_noise(sections):
    reasons = judged([frame(k, sections, light=70.0) for k in range(4)], sections)
    assert all("light" in reason for reason in reasons)


@pytest.mark.parametrize("sections", CAMERAS)
def test_noise_that_brings_no_level_is_the_cameras(sections):
    frames = [frame(k, sections).astype(float) for k in range(4)]
    for k, taken in enumerate(frames):
        taken[:, image_columns(sections)] += np.rint(rng(40 + k).normal(0, 3.0, (NY, image_columns(sections).size)))
    frames = [taken.astype(np.uint16) for taken in frames]
    assert judged(frames, sections) == ("",) * 4
    assert combine_bias(frames, sections).read_noise_adu == pytest.approx(5.0, rel=0.03)


@pytest.mark.parametrize("sections", CAMERAS)
def test_lamp_labelled_bias_is_found(sections):
    frames = [frame(k, sections, light=spectra(sections, 300.0) if k == 1 else 0.0) for k in range(3)]
    assert bad(frames, sections) == [False, True, False]


@pytest.mark.parametrize("sections", CAMERAS)
def test_bias_of_another_noise_is_left_out(sections):
    reasons = judged([frame(k, sections, noise=9.0 if k == 3 else 4.0) for k in range(4)], sections)
    assert reasons[:3] == ("", "", "") and "noise 9.0 ADU" in reasons[3]


@pytest.mark.parametrize("sections", CAMERAS)
@pytest.mark.parametrize("noise", [0.0, 80.0])
def test_camera_that_cannot_be_is_told(sections, noise):
    reasons = judged([frame(k, sections, noise=noise, structure=False) for k in range(3)], sections)
    assert all("look at the camera" in reason for reason in reasons)


@pytest.mark.parametrize("sections", CAMERAS)
def test_of_two_biases_that_differ_neither_is_blamed(sections):
    assert judged([frame(1, sections), frame(2, sections, light=6.0)], sections) == ("", "")


def master_of(sections, n=10, **options):
    return combine_bias([frame(k, sections, **options) for k in range(n)], sections)


def exposed(raw, master, sections):
    return debias(raw, master, gain=GAIN, sections=sections, saturation_adu=50000.0)


def error_of(raw, light, master, sections):
    """Mean error of the image [ADU] against the light that is in it, and the origin of its level."""
    image, origin = exposed(raw, master, sections)
    first, stop = sections.image
    true = np.broadcast_to(light, raw.shape)[:, first:stop]
    good = image.mask == 0
    return float((image.data / GAIN - true)[good].mean()), origin


@pytest.mark.parametrize("sections", CAMERAS)
def test_both_cameras_leave_the_image_alone_and_its_level_is_right(sections):
    master = master_of(sections)
    assert master.pedestal == pytest.approx(1000.0, abs=5.0)
    light = spectra(sections, 60.0)
    error, origin = error_of(frame(50, sections, light=light, level=1040.0), light, master, sections)
    assert abs(error) < 0.35 and origin == "over-scan"
    image, _ = exposed(frame(51, sections), master, sections)
    assert image.data.shape == image.variance.shape == image.mask.shape == (NY, sections.image[1] - sections.image[0])
    no_data = (image.mask & Mask.NO_DATA) != 0
    assert no_data.sum() == NY * sum(stop - first for first, stop in sections.no_data())


@pytest.mark.parametrize("height", [5.0, 40.0, 4000.0])
def test_spectra_that_run_off_the_chip_do_not_raise_the_level(height):
    # half of the rows of the last columns are lit, as where every second spectrum ends before them
    master = master_of(NARROW)
    light = spectra(NARROW, height)
    light[np.arange(NY) % 16 >= 8, 500:] = 0.0
    raw = frame(60, NARROW, light=light)
    raw[:, 512:] += np.rint(rng(61).poisson(light[:, 512:] * GAIN) / GAIN).astype(np.uint16)
    error, origin = error_of(raw, light, master, NARROW)
    # light in the columns lowers everything else: the error is negative by what is left of it
    assert abs(error) < 0.3 * 4.0 and origin == "over-scan"


def test_columns_full_of_light_do_not_tell_the_level():
    master = master_of(NARROW)
    light = spectra(NARROW, 3000.0) + 40.0
    raw = frame(62, NARROW, light=light, level=1003.0)
    raw[:, 512:] += np.rint(rng(63).poisson(light[:, 512:] * GAIN) / GAIN).astype(np.uint16)
    error, origin = error_of(raw, light, master, NARROW)
    assert abs(error - 3.0) < 2.5
    assert origin == "master bias"


@pytest.mark.parametrize(("scattered", "expected"), [(60.0, "master bias"), (6.5, "master bias"), (1.5, "over-scan")])
def test_scattered_light_under_spectra_in_the_columns_is_not_taken_for_the_level(scattered, expected):
    master = master_of(NARROW)
    light = spectra(NARROW, 800.0)
    light[np.arange(NY) % 32 >= 8, 500:] = 0.0
    light += scattered
    raw = frame(66, NARROW, light=light)
    raw[:, 512:] += np.rint(rng(67).poisson(light[:, 512:] * GAIN) / GAIN).astype(np.uint16)
    error, origin = error_of(raw, light, master, NARROW)
    assert abs(error) < scattered / 10 + 4.0 and origin == expected


@pytest.mark.parametrize("jitter", [0.0, 1.2])
def test_dark_columns_of_different_levels_have_one_level_and_no_lit_rows(jitter):
    random = rng(80)
    rows = random.normal(0, jitter, (2000, 1))
    columns = 500.0 + 40.0 * np.arange(40) / 39 + rows + random.normal(0, 4.0, (2000, 40))
    columns[300:305, 10] += 4000.0  # a cosmic ray
    found = scan_level(columns.astype(np.float32))
    assert found.lit < 0.01
    assert found.level.mean() == pytest.approx(520.0, abs=0.1)
    assert np.std(found.level) < 0.1 + 0.2 * jitter


def test_rows_with_light_are_counted():
    columns = 500.0 + rng(81).normal(0, 4.0, (2000, 3))
    columns[100:600] += 30.0 * (np.arange(500)[:, None] % 20 < 8)
    found = scan_level(columns.astype(np.float32))
    assert 0.08 < found.lit < 0.16
    assert found.level.mean() == pytest.approx(500.0, abs=0.4)


def test_level_that_drifts_without_light_is_followed():
    error, origin = error_of(frame(68, NARROW, level=1300.0), 0.0, master_of(NARROW), NARROW)
    assert abs(error) < 0.5 and origin == "over-scan"


@pytest.mark.parametrize("trail", [4.0, 500.0])
def test_light_that_trails_into_the_over_scan_is_not_taken_for_the_level(trail):
    master = master_of(WIDE)
    light = spectra(WIDE, 2000.0)
    raw = frame(64, WIDE, light=light)
    raw[:, 532:] += np.uint16(trail)
    error, origin = error_of(raw, light, master, WIDE)
    assert abs(error) < 0.6 and origin == "over-scan"


def test_row_jitter_of_the_camera_is_not_taken_for_light():
    jitter = rng(70).normal(0, 1.2, NY)[:, None]
    master = master_of(WIDE)
    raw = np.rint(frame(71, WIDE).astype(float) + jitter).astype(np.uint16)
    error, origin = error_of(raw, 0.0, master, WIDE)
    assert abs(error) < 0.25 and origin == "over-scan"


def test_master_bias_marks_saturated_pixels_where_the_camera_ends():
    raw = frame(72, WIDE)
    raw[30, 20 + 40] = 60000
    master = master_of(WIDE)
    for limit, expected in ((65000.0, 0), (50000.0, 9)):  # itself, three on each side along, one aside
        image, _ = debias(raw, master, gain=0.9, sections=WIDE, saturation_adu=limit)
        assert ((image.mask & Mask.SATURATED) != 0).sum() == expected
