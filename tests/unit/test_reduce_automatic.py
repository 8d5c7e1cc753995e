"""Automatic extraction: the right spectrum with a confidence where all is clear, and a reason where it is not."""

from functools import cache

import numpy as np
import pytest

from sedmd.reduce.target.automatic import _same_light, extract_target
from sedmd.reduce.target.concerns import about_sky
from sedmd.reduce.target.find import BAND_EDGES, Source, find_in_bands
from sedmd.reduce.target.host import fit_host
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import PointSpectrum, Psf, Refraction, condense
from sedmd.reduce.target.seeing import Seeing, seeing_by_star
from sedmd.reduce.target.target import Concern, Look
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share

WAVELENGTH = np.linspace(3900.0, 9100.0, 160)
SPAXELS = hex_spaxels(19)
STILL = Refraction(east=np.zeros(WAVELENGTH.size), north=np.zeros(WAVELENGTH.size))
#: Rises to the red, with a broad feature.
SHAPE = 1 + 0.4 * (WAVELENGTH - 6500.0) / 2500.0 - 0.3 * np.exp(-0.5 * ((WAVELENGTH - 6150.0) / 80.0) ** 2)
#: Falls to the red.
OTHER = 1 - 0.5 * (WAVELENGTH - 6500.0) / 2500.0


@cache
def star(x, y, fwhm=1.8):
    """Share of a star's light in each spaxel, (n_wave, n_spaxel)."""
    nodes = np.linspace(WAVELENGTH[0], WAVELENGTH[-1], 5)
    images = np.array([moffat_share(SPAXELS, x, y, fwhm * (w / 6500.0) ** -0.2, fine=3) for w in nodes])
    return np.array([np.interp(WAVELENGTH, nodes, column) for column in images.T]).T


@cache
def wings(beta):
    """The same of a star at (0.4, -0.7), 1.8 arcsec wide, with other wings."""
    return np.broadcast_to(moffat_share(SPAXELS, 0.4, -0.7, 1.8, beta=beta, fine=3), (WAVELENGTH.size, SPAXELS.q.size))


def galaxy(x, y, radius, ratio=0.7):
    """An exponential disc, sampled at the spaxels: wider than the seeing, its middle a little rounded."""
    dx, dy = SPAXELS.x_arcsec - x, (SPAXELS.y_arcsec - y) / ratio
    light = np.exp(-1.68 * np.sqrt(dx**2 + dy**2 + 0.6) / radius)
    return np.broadcast_to(light / light.sum(), (WAVELENGTH.size, SPAXELS.q.size))


HERE = Place(spread_arcsec=1.5, source="settings")


def look(*lights, sky=150.0, seed=1, offset=(0.0, 0.0), tilt=0.0):
    """An exposure; each light is (flux, spectrum, image)."""
    field = np.full((WAVELENGTH.size, SPAXELS.q.size), sky) * (1 + tilt * SPAXELS.x_arcsec)
    for flux, spectrum, image in lights:
        field = field + flux * spectrum[:, None] * image
    return Look(cube=make_cube(SPAXELS, WAVELENGTH, field, seed=seed), refraction=STILL, exptime_s=900.0, offset=offset)


def level(found, flux, spectrum=SHAPE):
    return float(np.nanmedian(found.point.flux / (flux * spectrum)))


def test_a_clear_star_needs_nobody():
    found = extract_target([look((4000.0, SHAPE, star(0.4, -0.7)))])
    assert found.confidence > 0.95 and found.quality == 1 and found.reasons == ()
    assert level(found, 4000.0) == pytest.approx(1, abs=0.02)
    assert found.snr == pytest.approx(np.nanmedian(found.point.flux / found.point.error), rel=0.1)


@pytest.mark.parametrize("flux", [500.0, 6000.0])
def test_a_star_of_the_night_tells_the_light_in_the_wings(flux):
    """Without it the light of the wings is that of usual ones."""
    wide = wings(2.6)
    fields = [look((flux, SHAPE, wide), seed=seed) for seed in range(6)]
    known = [level(extract_target([one], seeing=Seeing().with_wings(2.6)), flux) for one in fields]
    assert np.mean(known) == pytest.approx(1, abs=0.02)
    usual = [level(extract_target([one]), flux) for one in fields]
    assert abs(np.mean(known) - 1) < abs(np.mean(usual) - 1)


@pytest.mark.parametrize(("told", "sure"), [(2.6, True), (1.4, False)])
def test_what_is_wider_than_the_nights_stars_is_left_to_the_observer(told, sure):
    field = look((4000.0, SHAPE, star(0.4, -0.7, 2.6)))
    found = extract_target([field], seeing=seeing_by_star(told, 1.2, at_airmass=1.2))
    assert (found.confidence > 0.9) is sure
    assert sure or f"of a star {told}" in found.reasons[0]


@pytest.mark.parametrize("told", [1.4, 2.6])
@pytest.mark.parametrize("flux", [300.0, 4000.0])
def test_a_shape_is_what_the_data_say_whatever_was_known_before(told, flux):
    one = look((flux, SHAPE, star(0.4, -0.7, 2.2)))
    bands = condense(one.cube, one.refraction, BAND_EDGES)
    (source,) = find_in_bands(bands, SPAXELS)
    shape = fit_host(bands, SPAXELS, source.psf, seeing=seeing_by_star(told, 1.2, at_airmass=1.2)).alone
    assert shape.fwhm_arcsec == pytest.approx(2.2, abs=0.05 + 3 * shape.fwhm_error)
    assert np.hypot(shape.e1, shape.e2) < 0.02 + 4 * shape.e_error
    assert shape.fwhm_error < 0.2 and shape.e_error < 0.2


def test_a_galaxy_is_long():
    one = look((20000.0, OTHER, galaxy(0.3, 0.2, 2.0, ratio=0.5)))
    bands = condense(one.cube, one.refraction, BAND_EDGES)
    source = find_in_bands(bands, SPAXELS)[0]
    shape = fit_host(bands, SPAXELS, source.psf).alone
    assert shape.e1 > 0.3 and shape.e_error < 0.05


@pytest.mark.parametrize(
    ("width", "light", "x", "part"),
    [(4.5, 20.0, 4.0, True), (1.8, 20.0, 4.0, False), (4.5, 60.0, 4.0, False), (4.5, 20.0, 9.0, False)],
)
def test_what_the_search_left_of_a_host_is_the_host(width, light, x, part):
    """Wide, faint and near; a star there, or a galaxy of its own, is a neighbour."""

    def seen(x, fwhm, brightness):
        ones = np.ones(6)
        return Source(
            psf=Psf(x_arcsec=x, y_arcsec=0.0, fwhm_arcsec=fwhm),
            significance=30.0,
            amplitude=brightness * ones,
            amplitude_error=ones,
            chi2=1.0,
            position_error=0.1,
            edge_arcsec=5.0,
        )

    host = seen(0.0, 3.5, 100.0)
    assert _same_light(seen(x, width, light), host, Seeing()) is part
    assert _same_light(host, host, Seeing())


def test_nothing_is_extracted_from_an_empty_field():
    found = extract_target([look()])
    assert (found.point, found.confidence) == (None, 0.0)
    assert "no object" in found.checks[0].why


def test_the_star_far_from_the_place_is_not_taken_for_the_target():
    found = extract_target([look((4000.0, SHAPE, star(-6.0, 5.0)))], places=[HERE])
    assert found.confidence < 0.95
    assert "7.8 arcsec from the expected position" in found.reasons[0]


@pytest.mark.parametrize("place", [(0.0, 0.0), (-1.0, 3.4), (3.5, -2.5)])
def test_a_clear_star_alone_needs_no_observer_although_nobody_knows_where_targets_land(place):
    found = extract_target([look((4000.0, SHAPE, star(*place)), offset=(-102.0, -112.84))])
    assert found.confidence > 0.97


def test_where_nobody_knows_where_targets_land_that_is_said():
    found = extract_target([look((4000.0, SHAPE, star(-6.0, 5.0)))])
    assert any("the expected position is not known yet" in concern.why for concern in found.checks)


def test_two_stars_need_an_observer_until_the_place_is_known():
    scene = look((700.0, SHAPE, star(0.5, 0.5)), (6000.0, OTHER, star(-6.0, 4.5)))
    assert extract_target([scene]).confidence < 0.9 < extract_target([scene], places=[HERE]).confidence


def test_the_faint_target_is_taken_and_not_the_bright_neighbour():
    scene = look((700.0, SHAPE, star(0.5, 0.5)), (6000.0, OTHER, star(-6.0, 4.5)))
    found = extract_target([scene], places=[HERE])
    assert (found.sources[0].psf.x_arcsec, found.sources[0].psf.y_arcsec) == pytest.approx((0.5, 0.5), abs=0.2)
    assert found.confidence > 0.9
    assert level(found, 700.0) == pytest.approx(1, abs=0.06)
    assert found.others[0] == pytest.approx((-6.0, 4.5), abs=0.2)


def test_the_light_of_a_near_neighbour_is_taken_off():
    found = extract_target([look((3000.0, SHAPE, star(0.0, 0.0)), (1500.0, OTHER, star(3.0, 1.5)))])
    assert level(found, 3000.0) == pytest.approx(1, abs=0.04)
    assert any("neighbour" in why or "host" in why for why in [concern.why for concern in found.checks])


def test_two_objects_in_the_place_of_one_need_an_observer():
    found = extract_target([look((3000.0, SHAPE, star(-1.8, 0.0)), (2500.0, OTHER, star(1.8, 0.0)))])
    assert found.confidence < 0.9
    assert "may be the target, or that at" in " ".join(found.reasons)


def test_the_transient_is_told_from_its_galaxy_and_the_galaxy_taken_off():
    host = galaxy(2.6, -2.0, 2.2)
    found = extract_target([look((3000.0, SHAPE, star(0.2, 0.1)), (9000.0, OTHER, host), sky=60.0)])
    assert (found.sources[0].psf.x_arcsec, found.sources[0].psf.y_arcsec) == pytest.approx((0.2, 0.1), abs=0.25)
    assert found.host and found.quality == 2
    assert level(found, 3000.0) == pytest.approx(1, abs=0.1)
    # and what would have come in with it is known: the galaxy's light under the star, in the galaxy's colours
    inside = (0.2 - SPAXELS.x_arcsec) ** 2 + (0.1 - SPAXELS.y_arcsec) ** 2 < 1.5**2
    under = 9000.0 * host[0, inside].mean() / star(0.2, 0.1)[80, inside].mean()
    assert 0.3 * under < np.nanmedian(found.host_light) < under
    ratio = found.host_light / found.point.flux
    assert np.nanmedian(ratio) == pytest.approx(found.host[0].share, rel=0.3)
    assert np.nanmedian(ratio[:50]) > 1.5 * np.nanmedian(ratio[-50:])


def test_without_a_host_nothing_is_said_of_its_light():
    assert extract_target([look((3000.0, SHAPE, star(0.2, 0.1)))]).host_light is None


def test_a_galaxy_alone_is_not_taken_for_a_transient():
    found = extract_target([look((20000.0, OTHER, galaxy(0.3, 0.2, 3.0)), sky=60.0)])
    assert found.confidence < 0.9


def test_a_target_cut_by_the_edge_needs_an_observer():
    x = float(SPAXELS.x_arcsec.max()) - 0.3
    found = extract_target([look((4000.0, SHAPE, star(x, 0.0)))])
    assert found.confidence < 0.9
    assert "outside the array" in " ".join(found.reasons)


def test_an_uneven_sky_makes_no_object_and_spoils_none():
    assert extract_target([look(tilt=0.01)]).point is None
    found = extract_target([look((1000.0, SHAPE, star(4.0, 3.0)), tilt=0.01)])
    assert level(found, 1000.0) == pytest.approx(1, abs=0.05)


def pair(a=(3000.0, SHAPE), b=(3000.0, SHAPE), moved=(-6.0, 8.0), seeds=(1, 2)):
    x, y = 3.2, -4.1
    return [
        look((*a, star(x, y)), seed=seeds[0], offset=(-3.0, 4.0)),
        look((*b, star(x + moved[0], y + moved[1])), seed=seeds[1], offset=(3.0, -4.0)),
    ]


def test_a_pair_is_one_spectrum():
    found = extract_target(pair())
    assert found.confidence > 0.95 and found.quality == 1
    assert level(found, 3000.0) == pytest.approx(1, abs=0.02)


def test_an_object_that_did_not_nod_is_no_target():
    found = extract_target(pair(moved=(1.0, 3.0)))
    assert found.point is None and "moved" in found.checks[0].why


def test_a_and_b_of_different_colours_are_doubted():
    found = extract_target(pair(a=(3000.0, OTHER), b=(3000.0, SHAPE)))
    assert found.confidence < 0.9 and "colour" in found.reasons[0]


def test_clouds_over_b_are_told():
    found = extract_target(pair(b=(900.0, SHAPE)))
    assert any("times the light of A" in why for why in found.reasons)


def test_a_standard_is_the_brightest_star_wherever_it_lies():
    lights = ((60000.0, SHAPE, star(-5.0, 5.5)), (3000.0, OTHER, star(0.0, 0.0)))
    found = extract_target([look(*lights)], standard=True)
    assert found.sources[0].psf.x_arcsec == pytest.approx(-5.0, abs=0.1)
    assert found.confidence > 0.95


def test_what_the_caller_doubts_counts():
    clear = [look((4000.0, SHAPE, star(0.4, -0.7)))]
    found = extract_target(
        clear, concerns=[Concern(why="calibrations of 20190601 (11 nights old) serve", confidence=0.9)]
    )
    assert found.confidence == pytest.approx(0.9 * extract_target(clear).confidence)
    assert found.reasons == ("calibrations of 20190601 (11 nights old) serve",) and found.quality == 2


def test_a_sky_without_lines_leaves_none_in_a_spectrum():
    flat = np.full(WAVELENGTH.size, 3.0)
    point = PointSpectrum(flux=SHAPE, error=0.01 * flat, sky=flat, residual_chi2=flat)
    assert about_sky(WAVELENGTH, point).confidence == 1.0
