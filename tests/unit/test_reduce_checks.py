"""Content of calibration frames: good frames of every simulated instrument pass with room, bad ones do not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sedmd.raw.epochs import ANDOR_SECTIONS, PIXIS_SECTIONS
from sedmd.reduce.detector.bias import combine_bias
from sedmd.reduce.detector.ccd import combine_exposures, debias
from sedmd.reduce.detector.checks import LINES_FROM, MIN_CONTRAST, lamp_light, lamp_reason, likeness
from sedmd.reduce.numeric.containers import Image
from sedmd.simulate import PROFILES, load_profile, plan_night, render_frame
from unit.reduce_scenes import draw, expose, lattice_scene, rng

ARCS = ("Hg", "Cd", "Xe")
LAMPS = ("dome", *ARCS)
#: One hardware epoch always; the others, which take as long again, with the slow tests.
EPOCHS = ["2017", *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(set(PROFILES) - {"2017"}))]


@cache
def plan(profile):
    return plan_night(seed=3, size="least", profile=profile)


@cache
def raw(profile, label, number=0, *, light=None):
    """Pixels of the `number`-th frame of a label; another `light` in the spectrograph than the label says."""
    night = plan(profile)
    index = [i for i, e in enumerate(night.exposures) if e.kind == label][number]
    exposures = list(night.exposures)
    if light is not None:
        exposures[index] = replace(exposures[index], light=light)
    return render_frame(replace(night, exposures=tuple(exposures)), index).data


@cache
def biases(profile):
    """Three biases at the speed of the lamps."""
    speed = load_profile(profile).detector.calibration_speed
    night = plan(profile)
    own = [i for i, e in enumerate(night.exposures) if e.kind == "bias" and e.speed == speed]
    return tuple(render_frame(night, i).data for i in own[:3])


def sections(profile):
    return ANDOR_SECTIONS if load_profile(profile).frame.prescan else PIXIS_SECTIONS


@cache
def image(profile, label, number=0, *, light=None):
    gain = load_profile(profile).detector.gain
    master = combine_bias(biases(profile), sections(profile))
    frame = raw(profile, label, number, light=light)
    return debias(frame, master, gain=gain, sections=sections(profile), saturation_adu=50000.0)[0]


def lit(frame, electrons, profile, seed=1):
    """The frame with even light, photon noise included, but for the columns that the level is taken from."""
    loaded = load_profile(profile)
    first = loaded.frame.prescan
    columns = min(loaded.frame.columns, frame.shape[1] - 3)
    light = np.zeros(frame.shape)
    even = rng(seed).poisson(electrons, (frame.shape[0], columns))
    light[:, first : first + columns] = even / loaded.detector.gain
    return (frame + np.rint(light)).astype(np.uint16)


@pytest.mark.parametrize("label", LAMPS)
@pytest.mark.parametrize("profile", EPOCHS)
def test_lamps_that_shine_pass_with_room(profile, label):
    light = lamp_light(image(profile, label))
    assert lamp_reason(light, lines=label in ARCS) == ""
    assert light.contrast > 10 * MIN_CONTRAST
    assert light.peaks > 2 * LINES_FROM if label in ARCS else light.peaks < LINES_FROM / 2


@pytest.mark.parametrize("profile", EPOCHS)
def test_dark_lamp_is_told(profile):
    light = lamp_light(image(profile, "Hg", light="dark"))
    assert light.contrast < 0.6 * MIN_CONTRAST
    assert "was the lamp on?" in lamp_reason(light, lines=True)


@pytest.mark.parametrize("profile", EPOCHS)
def test_scattered_light_alone_is_no_lamp(profile):
    frame = lit(raw(profile, "dome", light="dark"), 400.0, profile)
    master = combine_bias(biases(profile), sections(profile))
    gain = load_profile(profile).detector.gain
    light = lamp_light(debias(frame, master, gain=gain, sections=sections(profile), saturation_adu=50000.0)[0])
    assert light.smooth == pytest.approx(400, rel=0.03)
    assert "no spectra" in lamp_reason(light, lines=False)


@pytest.mark.parametrize("profile", EPOCHS)
def test_lamp_of_the_other_kind_is_told(profile):
    assert "a continuum" in lamp_reason(lamp_light(image(profile, "dome")), lines=True)
    for label in ARCS:
        assert "lines" in lamp_reason(lamp_light(image(profile, label)), lines=False)


@pytest.mark.parametrize("profile", EPOCHS)
def test_two_lamps_are_alike_only_if_they_are_one(profile):
    assert likeness(image(profile, "Hg"), image(profile, "Hg", 1)) > 0.8
    for a, b in (("Hg", "Cd"), ("Hg", "Xe"), ("Cd", "Xe")):
        assert likeness(image(profile, a), image(profile, b)) < 0.3


def lamp_of(lines, continuum, seed=1, level=600.0):
    """A small frame of a lamp: lines at distances from the middle of every trace, and a continuum that is redder."""
    scene = lattice_scene((256, 512))
    samples = scene.samples()
    u = samples.x - scene.centre[samples.trace]
    light = continuum * np.exp(-0.5 * ((u + 30.0) / 45.0) ** 2)
    for place, strength in lines.items():
        light = light + strength * np.exp(-0.5 * ((u - place) / 1.4) ** 2)
    return expose(draw(samples, 4.0 * level * light), seed)


XENON = {-75: 0.4, -52: 1.0, -50.2: 0.7}
MERCURY = {100: 0.6, 80: 0.2, 40: 1.0, 20: 0.3, -78: 0.02}


@pytest.mark.parametrize("level", [60.0, 600.0])
def test_lines_on_a_continuum_of_half_their_height_are_lines(level):
    light = lamp_light(lamp_of(XENON, 1.0, level=level))
    assert light.peaks > 1.2 * LINES_FROM
    assert lamp_reason(light, lines=True) == ""


@pytest.mark.parametrize("level", [30.0, 60.0, 600.0])
def test_noise_makes_no_lines_of_a_continuum(level):
    light = lamp_light(lamp_of({}, 1.0, level=level))
    assert light.peaks < LINES_FROM
    assert "a continuum" in lamp_reason(light, lines=True)


def test_lamps_are_told_apart_by_their_lines_not_by_their_continua():
    xenon, mercury = lamp_of(XENON, 1.0), lamp_of(MERCURY, 0.3)
    assert likeness(xenon, mercury) < 0.3
    assert likeness(mercury, lamp_of(MERCURY, 0.3, seed=2)) > 0.7
    assert likeness(xenon, lamp_of(XENON, 1.0, seed=2)) > 0.7


def drawn(seed, level=600.0):
    """A small dome frame."""
    scene = lattice_scene((256, 512))
    samples = scene.samples()
    picture = np.zeros(samples.shape)
    y = np.arange(samples.shape[0])
    for x, row in zip(samples.x, samples.y, strict=True):
        near = slice(max(int(row) - 5, 0), int(row) + 7)
        picture[near, x] += level * np.exp(-0.5 * ((y[near] - row) / 1.4) ** 2)
    return expose(picture, seed)


def dark(seed, scattered=0.0):
    return expose(np.full((256, 512), scattered), seed)


def test_dark_frames_are_left_out_even_when_they_are_the_most():
    images = [drawn(1), dark(2, 300.0), dark(3, 300.0), drawn(4), dark(5, 300.0)]
    combined, scales, reasons = combine_exposures(images, lines=False)
    assert [scale > 0 for scale in scales] == [True, False, False, True, False]
    assert [bool(reason) for reason in reasons] == [False, True, True, False, True]
    assert combined.data.max() > 400


def test_series_without_light_is_refused_with_its_figures():
    with pytest.raises(ValueError, match=r"none of 3 exposures can be used.*times the noise.*was the lamp on"):
        combine_exposures([dark(k, 50.0) for k in range(3)], lines=False)


def test_frame_without_usable_pixels_is_refused():
    whole = drawn(1)
    with pytest.raises(ValueError, match="only 0 % of the pixels are usable"):
        lamp_light(Image(data=whole.data, variance=whole.variance, mask=np.ones_like(whole.mask), read_noise=5.0))
