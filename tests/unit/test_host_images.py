"""The host from images of the field: laid over the lattice where it is, as wide as the seeing, and taken off."""

from dataclasses import replace

import numpy as np
import pytest

from sedmd.reduce.target.automatic import extract_target
from sedmd.reduce.target.host_images import HostImage, HostImages, blurred, host_shape
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf, Refraction
from unit.host_scenes import PIXEL, SPAXELS, STAR, WAVELENGTH, X, images, in_cells, look, moffat

STILL = np.zeros(1)
HERE = (Place(spread_arcsec=1.0, source="settings"),)


def image_of(picture, *, to_pixel=None, wavelength=6500.0, fwhm=1.2):
    """A picture on the fine grid, about its middle, East to larger columns."""
    middle = X.size // 2
    usual = np.array([[1 / PIXEL, 0, middle], [0, 1 / PIXEL, middle]])
    to_pixel = usual if to_pixel is None else to_pixel
    return HostImage(band="r", wavelength=wavelength, values=picture, to_pixel=to_pixel, fwhm_arcsec=fwhm)


def one(image):
    return HostImages(images=(image,))


def alike(shape, truth):
    """Largest difference of two shapes, in units of the brightest cell."""
    scale = float((shape * truth).sum() / (shape**2).sum())
    return float(np.abs(scale * shape - truth).max() / truth.max())


@pytest.mark.parametrize("wanted", [1.2, 1.5, 1.8, 2.6])
def test_a_star_is_made_as_wide_as_the_seeing(wanted):
    star = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=wanted)
    sharp = blurred(one(image_of(moffat(1.2))), star)
    found = host_shape(sharp, star, SPAXELS, np.array([6500.0]), STILL, STILL)[0]
    assert alike(found, in_cells(moffat(wanted))) < 0.025


def test_seeing_is_wider_in_the_blue():
    star = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=2.0)
    pictures = (image_of(moffat(1.2), wavelength=4500.0), image_of(moffat(1.2), wavelength=8500.0))
    sharp = blurred(HostImages(images=pictures), star)
    blue, red = host_shape(sharp, star, SPAXELS, np.array([4000.0, 9000.0]), np.zeros(2), np.zeros(2))
    assert alike(blue, in_cells(moffat(2.0 * (4500 / 6500) ** -0.2))) < 0.02
    assert alike(red, in_cells(moffat(2.0 * (8500 / 6500) ** -0.2))) < 0.02


@pytest.mark.parametrize("turn", [0.0, 37.0, 90.0, 200.0])
def test_what_lies_east_and_north_of_the_target_does_so_in_the_cube(turn):
    """A clump at (+3, -2) arcsec, in images that lie in any direction, target at (1, 0.6), moved by refraction."""
    clump = np.exp(-((X[None, :] - 3.0) ** 2 + (X[:, None] + 2.0) ** 2) / 0.5)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    middle = X.size // 2
    rotation = np.array([[-c, s], [s, c]]) / PIXEL  # East is left
    rows, columns = np.indices(clump.shape)
    place = np.linalg.inv(rotation) @ np.stack([columns.ravel() - middle, rows.ravel() - middle])
    values = np.exp(-((place[0] - 3.0) ** 2 + (place[1] + 2.0) ** 2) / 0.5).reshape(clump.shape)
    picture = image_of(values, to_pixel=np.column_stack([rotation, [middle, middle]]))
    star = Psf(x_arcsec=1.0, y_arcsec=0.6, fwhm_arcsec=1.0)
    shape = host_shape(one(picture), star, SPAXELS, np.array([5000.0]), np.array([0.8]), np.array([-1.4]))[0]
    x, y = (np.average(axis, weights=shape) for axis in (SPAXELS.x_arcsec, SPAXELS.y_arcsec))
    assert (x, y) == pytest.approx((1.0 + 3.0 + 0.8, 0.6 - 2.0 - 1.4), abs=0.08)
    assert alike(shape, in_cells(clump, 1.8, -0.8)) < 0.06


def test_between_two_bands_is_their_mean():
    left, right = moffat(2.0), np.roll(moffat(2.0), 20, axis=1)
    pair = HostImages(images=(image_of(left, wavelength=5000.0), image_of(right, wavelength=7000.0)))
    star = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=1.0)
    found = host_shape(pair, star, SPAXELS, np.array([4000.0, 5000, 5500, 7000, 9000]), np.zeros(5), np.zeros(5))
    assert np.allclose(found[0], found[1]) and np.allclose(found[3], found[4])
    assert np.allclose(found[2], 0.75 * found[1] + 0.25 * found[3])


def test_holes_and_a_level_make_no_light():
    picture = 50.0 + moffat(1.2) * 1e4
    with_hole = picture.copy()
    with_hole[:10] = np.nan
    star = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=1.8)
    shapes = [
        host_shape(blurred(one(image_of(p)), star), star, SPAXELS, np.array([6500.0]), STILL, STILL)[0]
        for p in (picture, with_hole, picture - 50.0)
    ]
    assert np.allclose(shapes[0], shapes[1], atol=1e-4 * shapes[0].max())
    assert np.allclose(shapes[0], shapes[2], atol=1e-3 * shapes[0].max())


def test_a_field_without_a_host_shows_none():
    noise = np.random.default_rng(1).normal(0, 1, moffat(1.2).shape)
    assert not one(image_of(noise)).visible
    assert one(image_of(noise + 1e3 * moffat(1.2))).visible
    assert one(image_of(noise + np.roll(1e3 * moffat(1.2), 60, axis=0))).visible is False  # 12 arcsec away
    assert not HostImages(images=()).visible
    pair = HostImages(images=(image_of(noise), image_of(noise + 1e3 * moffat(1.2))))
    assert len(pair.seen().images) == 1


@pytest.mark.parametrize(
    ("core", "host", "within", "before"),
    [((1.6, -1.0), 12000.0, 0.06, 0.12), ((0.6, 0.4), 3000.0, 0.05, 0.5), ((3.0, 2.0), 12000.0, 0.03, 0.15)],
)
def test_a_host_in_images_is_taken_off_where_a_smooth_model_fails(core, host, within, before):
    field = look(3000.0, host, core=core)
    model, known = (extract_target([field], places=HERE, field=one) for one in (None, images(*core)))
    level = [float(np.nanmedian(found.point.flux / (3000.0 * STAR))) for found in (model, known)]
    assert abs(level[0] - 1) > before and abs(level[1] - 1) < within
    assert model.host_source in ("", "model") and known.host_source == "images griz"
    assert (known.sources[0].psf.x_arcsec, known.sources[0].psf.y_arcsec) == pytest.approx((0.4, -0.2), abs=0.1)
    # what would have come in without a model of it
    assert np.nanmedian(known.host_light) > 0.1 * np.nanmedian(known.point.flux)


def test_images_that_are_turned_and_cubes_with_refraction():
    east = 0.2 * np.round(1.5 * ((WAVELENGTH / 6500.0) ** -2 - 1) / 0.2)
    field = look(3000.0, 6000.0, refraction=(east, -east))
    found = extract_target([field], places=HERE, field=images(1.6, -1.0, turn=140.0))
    assert np.nanmedian(found.point.flux / (3000.0 * STAR)) == pytest.approx(1, abs=0.07)
    assert found.sources[0].psf.dispersion == pytest.approx(1, abs=0.5)


def test_images_without_a_host_change_nothing():
    field = look(3000.0, 0.0)
    blank = HostImages(
        images=tuple(
            replace(each, values=np.random.default_rng(4).normal(0, 1, each.values.shape)) for each in images().images
        )
    )
    plain, other = (extract_target([field], places=HERE, field=one) for one in (None, blank))
    assert np.array_equal(plain.point.flux, other.point.flux, equal_nan=True)
    assert other.host_source == "" and other.host_light is None
    assert isinstance(field.refraction, Refraction)
