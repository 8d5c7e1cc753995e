"""A finder from an image: North is up and East is left however the image lies, and the target is in the middle."""

import io

import numpy as np
import pytest
from PIL import Image

from sedmd.observation.finder_picture import SIZE, best_band, finder_png, north_up
from sedmd.reduce.target.host_images import HostImage, HostImages


def image_of(star, turn=0.0, band="r", size=240):
    """A star at (x, y) arcsec of the target, in an image that is turned; the target is not in its middle."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    forward = np.array([[-c, s], [s, c]]) / 0.4
    middle = np.array([size / 2 + 5.0, size / 2 - 3.0])
    rows, columns = np.indices((size, size))
    x, y = np.linalg.inv(forward) @ np.stack([columns.ravel() - middle[0], rows.ravel() - middle[1]])
    values = np.random.default_rng(1).normal(0, 1, size * size)
    values += 500 * np.exp(-((x - star[0]) ** 2 + (y - star[1]) ** 2))
    to_pixel = np.column_stack([forward, middle])
    return HostImage(
        band=band, wavelength=6170.0, values=values.reshape(size, size), to_pixel=to_pixel, fwhm_arcsec=1.2
    )


@pytest.mark.parametrize("turn", [0.0, 65.0, 180.0])
def test_east_is_left_and_north_is_up(turn):
    values = north_up(image_of((12.0, 7.0), turn), 30.0)
    row, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    assert 30.0 - (column + 0.5) * 60.0 / SIZE == pytest.approx(12.0, abs=0.3)
    assert 30.0 - (row + 0.5) * 60.0 / SIZE == pytest.approx(7.0, abs=0.3)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_target_field_and_stars_are_seen():
    picture = image_of((0.0, 20.0))
    square = [(10.0, 10.0), (-10.0, 10.0), (-10.0, -10.0), (10.0, -10.0)]
    plain, framed = pixels(finder_png(picture)), pixels(finder_png(picture, square))
    assert plain.shape == (SIZE, SIZE, 3) and finder_png(picture) == finder_png(picture)
    red = plain[..., 0] - plain[..., 2] > 80
    rows, columns = np.nonzero(red)
    assert columns.min() > SIZE / 2 - 5 and rows.min() > SIZE / 2 - 5  # strokes West and South of the target
    scale = SIZE / 80.0
    star = plain[round(SIZE / 2 - 20 * scale), SIZE // 2]
    assert star.max() < 60 and plain[SIZE // 2, SIZE // 2].min() > 150
    blue = framed[..., 2] - framed[..., 0] > 80
    rows, columns = np.nonzero(blue)
    assert (columns.min(), columns.max()) == pytest.approx((SIZE / 2 - 10 * scale, SIZE / 2 + 10 * scale), abs=3)


def test_an_image_without_a_value_is_drawn_too():
    blank = image_of((0, 0))
    values = np.full(blank.values.shape, np.nan)
    blank = HostImage(band="r", wavelength=6170.0, values=values, to_pixel=blank.to_pixel, fwhm_arcsec=1.2)
    assert pixels(finder_png(blank)).shape == (SIZE, SIZE, 3)


def test_red_is_taken_before_the_other_bands():
    images = tuple(image_of((0, 0), band=band) for band in "gri")
    assert best_band(HostImages(images=images)).band == "r"
    assert best_band(HostImages(images=images[:1])).band == "g"
    assert best_band(HostImages(images=())) is None
