"""Cubes of the public pysedm pipeline: written here as pyifu writes them, read by our reader."""

import numpy as np
import pytest
from astropy.io import fits

from sedmd.products.e3d import PYSEDM_UNIT_ARCSEC, read_any_cube
from sedmd.products.fitsio import ProductFault
from sedmd.reduce.numeric.hexagon import cell_area, cell_vertices

#: pysedm's hexagon: circumradius 2/3 of its unit, turned by 103 degrees.
CORNERS = np.array([(2 / 3 * np.cos(a), 2 / 3 * np.sin(a)) for a in np.deg2rad(103 - 30 + 60 * np.arange(6))])


def pysedm_cube(path, *, header_axis=True, drop=(), **changes):
    steps = np.stack([CORNERS[0] + CORNERS[1], CORNERS[1] + CORNERS[2]])
    q, r = (axis.ravel() for axis in np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
    places = np.stack([q, r], axis=1) @ steps
    rng = np.random.default_rng(1)
    order = rng.permutation(len(q))  # pyifu keeps no order
    flux = rng.normal(5.0, 1.0, (220, len(q)))
    parts = {
        "data": flux,
        "VARIANCE": np.ones(flux.shape),
        "MAPPING": places[order],
        "SPAX_ID": order.astype(np.int64),
        "SPAX_VERT": CORNERS,
    } | changes
    primary = fits.PrimaryHDU(parts["data"])
    primary.header.update({"OBJECT": "ZTF19abc", "EXPTIME": 900.0})
    if header_axis:
        primary.header.update({"CRVAL2": 3700.0, "CDELT2": 25.5708})
    names = ("VARIANCE", "MAPPING", "SPAX_ID", "SPAX_VERT")
    hdus = [fits.ImageHDU(parts[name], name=name) for name in names if name not in drop]
    if not header_axis:
        hdus.append(fits.ImageHDU(3700.0 + 25.5708 * np.arange(220), name="LBDA"))
    fits.HDUList([primary, *hdus]).writeto(path)
    return flux, places, order


@pytest.mark.parametrize("header_axis", [True, False])
def test_spaxels_fall_into_place(tmp_path, header_axis):
    path = tmp_path / "e3d_crr_b_ifu20190612_04_07_07_ZTF19abc.fits"
    flux, places, order = pysedm_cube(path, header_axis=header_axis)
    cube, header = read_any_cube(path)
    assert header["OBJECT"] == "ZTF19abc"
    assert cube.wavelength[[0, -1]] == pytest.approx([3700.0, 9300.0], abs=0.1)
    # the spaxel with number n is found at its place, with its flux; East is to the left of pysedm's pictures
    back = np.argsort(order)
    assert np.allclose(cube.flux, flux[:, back], atol=1e-5)
    assert np.allclose(cube.spaxels.x_arcsec, -PYSEDM_UNIT_ARCSEC * places[cube.spaxels.ident, 0])
    assert np.allclose(cube.spaxels.y_arcsec, PYSEDM_UNIT_ARCSEC * places[cube.spaxels.ident, 1])
    pitch = 2 / np.sqrt(3) * PYSEDM_UNIT_ARCSEC
    assert cell_area(cube.spaxels) == pytest.approx(np.sqrt(3) / 2 * pitch**2, rel=1e-6)
    assert np.hypot(*cell_vertices(cube.spaxels).T) == pytest.approx(2 / 3 * PYSEDM_UNIT_ARCSEC, rel=1e-6)


def test_bad_samples_are_masked(tmp_path):
    flux = np.full((220, 361), 5.0)
    variance = np.ones(flux.shape)
    flux[3, 7], variance[4, 8], variance[5, 9] = np.nan, -0.5, np.inf
    pysedm_cube(tmp_path / "e3d.fits", data=flux, VARIANCE=variance)
    cube, _ = read_any_cube(tmp_path / "e3d.fits")
    assert np.count_nonzero(cube.mask) == 3
    assert np.isfinite(cube.flux).all() and np.isfinite(cube.variance).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"drop": ("VARIANCE",)}, "no VARIANCE"),
        ({"drop": ("MAPPING",)}, "no MAPPING"),
        ({"MAPPING": np.zeros((361, 2))}, "two spaxels on one place"),
        ({"MAPPING": np.zeros((12, 2))}, "do not fit each other"),
        ({"data": np.zeros((5, 5, 5))}, "no table of"),
        ({"data": None}, "no table of"),
        ({"data": np.zeros((219, 361)), "header_axis": False}, "no increasing wavelength"),
    ],
)
def test_what_is_no_cube_is_refused_with_a_reason(tmp_path, options, words):
    if options.get("header_axis") is None and "data" not in options:
        pysedm_cube(tmp_path / "e3d.fits", **options)
    else:
        flux = options["data"]
        variance = np.ones(flux.shape) if flux is not None else np.ones((2, 2))
        pysedm_cube_with(tmp_path / "e3d.fits", flux, variance, options)
    with pytest.raises(ProductFault, match=words):
        read_any_cube(tmp_path / "e3d.fits")


def pysedm_cube_with(path, flux, variance, options):
    primary = fits.PrimaryHDU(flux)
    lbda = fits.ImageHDU(np.arange(220.0), name="LBDA")
    fits.HDUList([primary, fits.ImageHDU(variance, name="VARIANCE"), lbda]).writeto(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "e3d.fits"
    pysedm_cube(path)
    path.write_bytes(path.read_bytes()[:100000])
    with pytest.raises(ProductFault):
        read_any_cube(path)
