"""Cutouts in a folder are read with their places and bands; one that cannot be used is named, the others serve."""

import numpy as np
import pytest
from astropy.io import fits

from sedmd.observation.cutouts import CutoutFault, images_in, read_cutouts
from sedmd.products.sky import sky_position

PLACE = (187.3, 12.4)
HEADER = {"OBJRA": "12:29:12.0", "OBJDEC": "+12:24:00.0"}
SCALE, SIZE = 0.25, 160


def card_of(turn=0.0, east_left=True, **more):
    """A header whose pixel (SIZE/2, SIZE/2), counted from 1, is 5 arcsec East and 2 North of the target."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    sign = -1 if east_left else 1
    ra, dec = sky_position(PLACE, 5.0, 2.0)
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CRPIX1"] = header["CRPIX2"] = SIZE / 2
    header["CD1_1"], header["CD1_2"] = sign * c * SCALE / 3600, s * SCALE / 3600
    header["CD2_1"], header["CD2_2"] = -sign * s * SCALE / 3600, c * SCALE / 3600
    for key, value in more.items():
        header[key] = value
    return header


def write(path, values=None, **header):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE) if values is None else values
    fits.PrimaryHDU(values, header=card_of(**header)).writeto(path)
    return path


@pytest.mark.parametrize("turn", [0.0, 30.0, 90.0])
@pytest.mark.parametrize("east_left", [True, False])
def test_a_place_is_found_by_the_world_coordinates(tmp_path, turn, east_left):
    (image,) = images_in(write(tmp_path / "r.fits", turn=turn, east_left=east_left), PLACE)
    # the place that the header names lies in the named pixel, from 0
    assert image.to_pixel @ (5.0, 2.0, 1.0) == pytest.approx([SIZE / 2 - 1] * 2, abs=0.01)
    assert image.scale_arcsec == pytest.approx(SCALE, rel=1e-3)
    assert (image.band, image.wavelength, image.fwhm_arcsec) == ("r", 6170.0, 1.19)
    north = image.to_pixel[:, 1] * SCALE
    assert np.hypot(*north) == pytest.approx(1, rel=1e-3)
    if turn == 0.0:
        assert north == pytest.approx([0, 1], abs=1e-3)
        assert image.to_pixel[0, 0] * SCALE == pytest.approx(-1 if east_left else 1, abs=1e-3)


def test_all_bands_of_a_target_in_their_order(tmp_path):
    for name in ("z.fits", "ps1_g.fits", "stack.unconv.i.fits"):
        write(tmp_path / "cut" / "ZTF19a" / name)
    (tmp_path / "cut" / "ZTF19a" / "notes.txt").write_text("-")
    found, troubles = read_cutouts(tmp_path / "cut", "ZTF19a", HEADER)
    assert troubles == [] and found.source == "images giz"
    assert [one.band for one in found.images] == ["g", "i", "z"]


def test_a_file_with_a_plane_for_each_band(tmp_path):
    planes = np.stack([np.full((SIZE, SIZE), n, np.float32) for n in range(3)])
    images = images_in(write(tmp_path / "cutout.fits", planes, BANDS="grz"), PLACE)
    assert [(one.band, one.values[0, 0]) for one in images] == [("g", 0), ("r", 1), ("z", 2)]


def test_the_flux_of_pan_starrs_is_made_linear(tmp_path):
    linear, soft, offset = np.linspace(-5, 4000, SIZE * SIZE).reshape(SIZE, SIZE), 3.0, 0.5
    kept = np.arcsinh((linear - offset) / (2 * soft)) / (0.4 * np.log(10))
    (image,) = images_in(write(tmp_path / "g.fits", kept, BSOFTEN=soft, BOFFSET=offset), PLACE)
    assert image.values == pytest.approx(linear, rel=1e-6, abs=1e-6)


def test_nothing_set_nothing_there_nothing_known(tmp_path):
    assert read_cutouts(None, "x", HEADER) == (None, [])
    assert read_cutouts(tmp_path, "x", HEADER) == (None, [])
    write(tmp_path / "x" / "g.fits")
    assert read_cutouts(tmp_path, "x", {}) == (None, [])
    assert read_cutouts(tmp_path, "x", HEADER)[0] is not None


def test_a_name_leads_to_no_other_folder(tmp_path):
    write(tmp_path / "secret" / "g.fits")
    (tmp_path / "cut").mkdir()
    assert read_cutouts(tmp_path / "cut", "../secret", HEADER) == (None, [])


@pytest.mark.parametrize(
    ("name", "header", "said"),
    [
        ("u.fits", {}, "of which band"),
        ("cutout.fits", {}, "of which band"),
        ("g.fits", {"CRVAL1": 100.0}, "the target is not in it|no place"),
        ("g.fits", {"CRPIX1": 20.0}, "it reaches .* arcsec from the target, at least 12"),
        ("g.fits", {"CTYPE1": "", "CTYPE2": ""}, "has no world coordinates"),
        ("g.fits", {"CD1_1": 0.0, "CD2_2": 0.0}, "world coordinates"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path, name, header, said):
    with pytest.raises(CutoutFault, match=said):
        images_in(write(tmp_path / name, **header), PLACE)


def test_a_broken_file_is_named_and_the_others_serve(tmp_path):
    good, bad = write(tmp_path / "x" / "g.fits"), write(tmp_path / "x" / "r.fits")
    bad.write_bytes(good.read_bytes()[:5000])
    (tmp_path / "x" / "i.fits").write_bytes(b"hello")
    (tmp_path / "x" / "z.fits").symlink_to(tmp_path)
    found, troubles = read_cutouts(tmp_path, "x", HEADER)
    assert [one.band for one in found.images] == ["g"]
    assert len(troubles) == 3 and all(any(name in text for text in troubles) for name in ("r.fits", "i.fits", "z.fits"))
