"""Concerns about a spectrum, each by itself: where it begins, where an even chance lies, and what it does not ask."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from sedmd.reduce.target.concerns import (
    HALF_SOUND,
    REACH_ARCSEC,
    about_agreement,
    about_detection,
    about_hosts,
    about_neighbours,
    about_nod,
    about_noise,
    about_picture,
    about_place,
    about_sharpness,
    about_sky,
    apart,
    matters,
    snr_of,
)
from sedmd.reduce.target.find import BAND_EDGES, RIM_ARCSEC
from sedmd.reduce.target.psf import Psf
from sedmd.reduce.target.seeing import Seeing
from unit.reduce_scenes import rng

WAVELENGTH = np.linspace(4000.0, 9000.0, 251)
BANDS = len(BAND_EDGES) - 1


def source(x=0.0, y=0.0, fwhm=1.8, *, brightness=1000.0, significance=30.0, edge=5.0, **more):
    psf = Psf(x_arcsec=x, y_arcsec=y, fwhm_arcsec=fwhm)
    told = {"brightness": brightness, "significance": significance, "edge_arcsec": edge, "position_error": 0.1}
    return SimpleNamespace(psf=psf, **told | more)


def candidate(*sources, chance=0.9, off=0.4, known=True, significance=30.0):
    first = sources[0].psf
    return SimpleNamespace(
        sources=sources,
        chance=chance,
        off_arcsec=off,
        place=(first.x_arcsec, first.y_arcsec),
        expected=SimpleNamespace(known=known),
        significance=significance,
    )


def spectrum(flux, sky=None, error=1.0):
    flux = np.broadcast_to(np.asarray(flux, float), WAVELENGTH.shape)
    sky = np.zeros(WAVELENGTH.shape) if sky is None else sky
    return SimpleNamespace(flux=flux, sky=sky, error=np.full(WAVELENGTH.shape, error))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"edge": RIM_ARCSEC}, False),
        ({"significance": 8.0}, False),
        ({"significance": 8.1}, True),
        ({"x": REACH_ARCSEC}, False),
        ({"x": REACH_ARCSEC - 0.1}, True),
        ({"brightness": 10.0}, False),
        ({"brightness": 10.1}, True),
    ],
)
def test_which_objects_shine_on_a_target(change, counts):
    assert matters(source(**change), source()) is counts


def test_distance():
    assert apart(source(1.0, 2.0).psf, source(4.0, -2.0).psf) == 5.0


def test_signal_to_noise_is_the_median_of_the_bins_between_4500_and_8500():
    inside = (WAVELENGTH > 4500) & (WAVELENGTH < 8500)
    assert snr_of(WAVELENGTH, spectrum(np.where(inside, 30.0, 900.0), error=2.0)) == 15.0
    assert snr_of(WAVELENGTH, spectrum(np.where(inside, np.nan, 900.0))) == 0.0


@pytest.mark.parametrize(
    ("concern", "even", "width"),
    [
        (lambda value: about_noise(value), 1.2, 0.4),
        (lambda value: about_detection(candidate(source(), significance=value), []), 6.5, 1.0),
        (lambda value: about_sharpness(source(fwhm=value)), 0.8, 0.1),
        (lambda value: about_picture([SimpleNamespace(chi2=1.0), SimpleNamespace(chi2=-value)]), -5.5, 1.0),
    ],
    ids=["noise", "detection", "sharpness", "picture"],
)
def test_a_confidence_rises_about_an_even_chance_and_is_certain_two_widths_above(concern, even, width):
    assert concern(even).confidence == pytest.approx(0.5)
    assert concern(even + width).confidence == pytest.approx(0.8413, abs=1e-3)
    assert concern(even - 2 * width).confidence < 0.025 and concern(even + 2.5 * width).confidence > 0.99


def test_what_stands_out_from_the_host_is_the_target():
    hosts = [SimpleNamespace(significance=3.0), SimpleNamespace(significance=4.0)]
    assert about_detection(candidate(source()), hosts).why.startswith("the object is faint (5 sigma")
    # a dip beside the host takes away what a peak gives
    hosts[0].significance = -5.0
    assert about_detection(candidate(source()), hosts).confidence < 1e-6
    # and it is no surer than the object is over the sky
    bright = [SimpleNamespace(significance=40.0)]
    assert about_detection(candidate(source(), significance=7.0), bright).why.startswith("the object is faint (7 sigma")


def test_host_light_costs_half_of_the_confidence_where_half_the_levels_are_sound():
    host = lambda share: SimpleNamespace(share=share, separation_arcsec=2.0)  # noqa: E731
    assert about_hosts([]) == []
    for shares in ([HALF_SOUND], [-HALF_SOUND, 0.1]):
        [concern] = about_hosts([host(share) for share in shares])
        assert concern.confidence == pytest.approx(0.5) and concern.modelled
    [none] = about_hosts([host(0.0)])
    [unknown] = about_hosts([host(math.inf)])
    assert (none.confidence, unknown.confidence) == (1.0, 0.0)
    [twice] = about_hosts([host(2 * HALF_SOUND)])
    assert twice.confidence == pytest.approx(1 / 9)


def test_a_neighbour_counts_by_its_light_at_the_target():
    target = source()
    near, far = source(2.0, brightness=500.0), source(0.0, 6.0, brightness=900.0)
    [concern] = about_neighbours(candidate(target), [far, target, near], [])
    assert concern.confidence == pytest.approx(1 / (1 + 0.5 * math.exp(-0.5)))
    assert "50 % of its light at (+2.0, +0.0)" in concern.why and concern.modelled
    assert about_neighbours(candidate(target), [target], []) == []
    # what lies on the host is the host
    host = SimpleNamespace(image=Psf(x_arcsec=2.5, y_arcsec=0.0, fwhm_arcsec=3.0))
    [other] = about_neighbours(candidate(target), [far, target, near], [host])
    assert "90 % of its light" in other.why


def test_a_rival_is_named_and_a_wide_object_may_be_a_galaxy():
    seeing = Seeing(fwhm_arcsec=1.8, spread_arcsec=0.3)
    chosen, rival = candidate(source(), chance=0.6), candidate(source(5.0), chance=0.13)
    told = about_place(chosen, [chosen, rival], chosen.sources, seeing)
    assert told.confidence == 0.6 and "may be the target, or that at (+5.0, +0.0)" in told.why
    rival.chance = 0.12
    assert "0.4 arcsec from the expected position" in about_place(chosen, [chosen, rival], chosen.sources, seeing).why
    unknown = candidate(source(), known=False)
    assert "is not known yet" in about_place(unknown, [unknown], unknown.sources, seeing).why
    for width, galaxy in ((2.1, False), (2.11, True)):
        # of a pair the sharper image tells
        why = about_place(chosen, [chosen], (source(fwhm=4.0), source(fwhm=width)), seeing).why
        assert ("may be a galaxy" in why) is galaxy


def look(offset):
    return SimpleNamespace(offset=offset, cube=SimpleNamespace(wavelength=WAVELENGTH))


def test_an_object_moves_as_the_telescope_did():
    looks = [look((0.0, 0.0)), look((6.0, -8.0))]
    assert about_nod(looks[:1], candidate(source())) == []
    # against the telescope, to a second of arc
    [right] = about_nod(looks, candidate(source(1.0, 1.0), source(1.0 - 6.0, 1.0 + 8.9)))
    assert right.confidence == 1.0
    [wrong] = about_nod(looks, candidate(source(1.0, 1.0), source(1.0 - 6.0, 1.0 + 8.0 + 2.0)))
    sigma = math.hypot(0.8, math.hypot(0.1, 0.1))
    assert wrong.confidence == pytest.approx(math.erfc(2.0 / sigma / math.sqrt(2)))
    assert "differs by 2.0 arcsec" in wrong.why


def test_the_same_object_has_the_same_light_and_colours_in_a_and_b():
    looks = [look(None), look(None)]
    light = np.linspace(100.0, 300.0, BANDS)

    def concerns(b, gain=1.0):
        pair = [source(amplitude=one, amplitude_error=0.01 * light) for one in (light, b)]
        return about_agreement(looks, pair, gain)

    assert about_agreement(looks[:1], [source()], 1.0) == []
    level, colour = concerns(2.0 * light, gain=2.0)
    assert level.why.startswith("B has 1.00") and level.confidence > 0.99 and colour.confidence > 0.99
    level, colour = concerns(0.4 * light)  # a cloud
    assert level.why.startswith("B has 0.40") and 0.3 < level.confidence < 0.75 and colour.confidence > 0.99
    level, colour = concerns(light[::-1])  # another object
    assert colour.confidence < 0.01


LINES = np.zeros(WAVELENGTH.size)
LINES[30:220:13] = 50.0


def test_what_is_left_of_sky_lines_is_told_by_its_share_of_the_light():
    noise = rng(1).normal(0, 1.0, WAVELENGTH.size)
    clean = about_sky(WAVELENGTH, spectrum(100.0 + noise, 20.0 + LINES))
    assert clean.confidence == 1.0
    inside = (WAVELENGTH > 4500) & (WAVELENGTH < 8500)
    for left, sign in ((0.4, 1.0), (0.4, -1.0)):
        share = left * np.std(LINES[inside]) / 100.0
        told = about_sky(WAVELENGTH, spectrum(100.0 + noise + sign * left * LINES, 20.0 + LINES))
        assert told.why == f"sky line residuals: {100 * share:.0f} % of its light"
        wanted = 1 - 0.2 * 0.5 * (1 + math.erf((share - 0.06) / 0.02 / math.sqrt(2)))
        assert told.confidence == pytest.approx(wanted, abs=0.03) and told.confidence < 0.97


def test_without_lines_or_bins_sky_residuals_are_not_judged():
    assert about_sky(WAVELENGTH, spectrum(100.0, np.full(251, 20.0))).why == "the sky has no lines"
    few = spectrum(np.where(np.arange(251) % 8 == 0, 100.0, np.nan), 20.0 + LINES)
    assert about_sky(WAVELENGTH, few).confidence == 0.9
