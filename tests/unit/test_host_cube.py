"""A host from a cube of another epoch: drawn scenes, moved and blurred otherwise, the target free of it."""

from dataclasses import replace

import numpy as np
import pytest

from sedmd.reduce.target.automatic import extract_target
from sedmd.reduce.target.host_cube import EDGES, pictures, with_host_noise
from sedmd.reduce.target.host_images import blurred, host_shape
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import PointSpectrum, Psf, condense
from unit.host_scenes import SPAXELS, STAR, look

HERE = (Place(x_arcsec=0.4, y_arcsec=-0.2, spread_arcsec=0.5),)
CORE = (1.6, -1.0)


def epoch(host, *, place=(0.4, -0.2), fwhm=1.6, seed=9):
    """The same field without the star; where the star will be is at `place` of that exposure."""
    return look(0.0, host, place=place, core=CORE, fwhm=fwhm, seed=seed)


def level(found):
    return float(np.nanmedian(found.point.flux / (3000.0 * STAR)))


def test_the_host_of_another_epoch_is_taken_off_wherever_the_field_lay_then():
    moved = (-1.4, 1.6)
    field = look(3000.0, 12000.0, core=CORE)
    other = epoch(12000.0, place=moved)
    told = pictures(other.cube, other.refraction, (0.0, 0.0), 1.6, source="cube 20190101")
    model, known = (extract_target([field], places=HERE, field=one) for one in (None, told))
    assert abs(level(model) - 1) > 0.12 and abs(level(known) - 1) < 0.07
    assert known.host_source == "cube 20190101"
    assert (known.sources[0].psf.x_arcsec, known.sources[0].psf.y_arcsec) == pytest.approx((0.4, -0.2), abs=0.1)


def test_a_cube_of_an_empty_field_changes_nothing():
    field = look(3000.0, 0.0)
    other = epoch(0.0)
    told = pictures(other.cube, other.refraction, (0.4, -0.2), 1.6)
    plain, same = (extract_target([field], places=HERE, field=one) for one in (None, told))
    assert np.array_equal(plain.point.flux, same.point.flux, equal_nan=True)
    assert np.array_equal(plain.point.error, same.point.error, equal_nan=True)


def test_the_noise_of_a_cube_is_in_the_error_of_the_spectrum():
    field = look(3000.0, 12000.0, core=CORE)
    other = epoch(12000.0)
    told = replace(pictures(other.cube, other.refraction, (0.4, -0.2), 1.6), reach_arcsec=0.0)
    noisy = replace(told, images=tuple(replace(one, noise=10 * one.noise) for one in told.images))
    without = replace(told, images=tuple(replace(one, noise=0.0) for one in told.images))
    quiet, usual, loud = (extract_target([field], places=HERE, field=one).point for one in (without, told, noisy))
    assert np.array_equal(quiet.flux, loud.flux, equal_nan=True)
    assert (usual.error > quiet.error).mean() > 0.9
    extra = np.sqrt(np.array([one.error**2 - quiet.error**2 for one in (usual, loud)]))
    assert np.nanmedian(extra[1] / extra[0]) == pytest.approx(10, rel=0.05)


def test_noise_of_a_shape_by_drawing_it():
    rng = np.random.default_rng(2)
    star = np.exp(-0.5 * (np.hypot(SPAXELS.x_arcsec, SPAXELS.y_arcsec) / 0.8) ** 2)
    host = np.exp(-0.5 * (np.hypot(SPAXELS.x_arcsec - 1, SPAXELS.y_arcsec) / 2.5) ** 2)
    noise, strength = 0.05, 40.0
    taken = star @ (host - np.median(host)) / (star @ star) * strength
    drawn = [strength * (star @ rng.normal(0, noise, star.size)) / (star @ star) for _ in range(4000)]
    point = PointSpectrum(flux=np.ones(1), error=np.zeros(1), sky=np.zeros(1), residual_chi2=np.ones(1))
    made = with_host_noise(point, np.array([taken]), star[None], host[None], np.array([noise]))
    assert made.error[0] == pytest.approx(np.std(drawn), rel=0.05)


def test_pictures_in_the_same_seeing_are_the_cube_itself():
    """Laid back over the lattice they give the light of each spaxel: nothing is blurred twice."""
    other = look(0.0, 12000.0, place=(0.4, -0.2), core=CORE, fwhm=1.8, seed=None)
    made = pictures(other.cube, other.refraction, (0.4, -0.2), 1.8)
    star = Psf(x_arcsec=0.4, y_arcsec=-0.2, fwhm_arcsec=1.8)
    still = np.zeros(1)
    shape = host_shape(blurred(made, star), star, SPAXELS, made.images[6].wavelength + still, still, still)[0]
    near = np.hypot(SPAXELS.x_arcsec - 2.0, SPAXELS.y_arcsec + 1.2) < 5.0
    bands = condense(other.cube, other.refraction, EDGES)
    light = bands.flux[6] - np.median(bands.flux[6])
    scale = (shape[near] @ light[near]) / (shape[near] @ shape[near])
    off = np.abs(scale * shape[near] - light[near]).max() / light.max()
    assert off < 0.012, off


def test_pictures_hold_the_light_of_the_cube_at_the_place_of_the_target():
    other = epoch(12000.0, place=(1.0, -1.0))
    made = pictures(other.cube, other.refraction, (1.0, -1.0), 1.6)
    picture = made.images[6]
    row, column = np.unravel_index(np.nanargmax(picture.values), picture.values.shape)
    at = np.linalg.solve(picture.to_pixel[:, :2], [column, row] - picture.to_pixel[:, 2])
    assert at == pytest.approx(CORE, abs=0.8)
    assert picture.noise > 0 and made.visible and made.reach_arcsec > 0
    # moved: what lay at the core lies about the middle
    moved = made.moved(*at).images[6]
    assert moved.to_pixel @ (0.0, 0.0, 1.0) == pytest.approx([column, row])
