"""Plots: they come out for every spectrum there can be, and the same input gives the same bytes."""

import numpy as np
import pytest

from sedmd.products.plots import ApertureMark, MapPanel, map_of_cube, plot_maps, plot_sensitivity, plot_spectrum
from sedmd.products.plots.maps import map_of_values, picture_limits
from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.numeric.containers import Cube, Spaxels, Spectrum


def make_cube(level=10.0):
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-3, 4), np.arange(-3, 4)))
    spaxels = Spaxels(ident=np.arange(49), q=q, r=r, x_arcsec=0.6 * (q + r / 2), y_arcsec=0.52 * r)
    shape = (30, 49)
    return Cube(
        wavelength=np.linspace(3700, 9300, 30),
        flux=np.full(shape, level, np.float32),
        variance=np.ones(shape, np.float32),
        mask=np.zeros(shape, np.uint8),
        spaxels=spaxels,
    )


def make_spectrum(flux=None, **changes):
    wavelength = np.linspace(3700, 9300, 60)
    flux = np.full(60, 2e-16) if flux is None else flux
    return Spectrum(
        **(
            {
                "wavelength": wavelength,
                "flux": flux,
                "error": np.full(60, 1e-17),
                "sky": np.full(60, 5e-18),
                "unit": "erg / (s cm2 Angstrom)",
                "meta": {"exptime_s": 900.0, "quality": 1, "airmass": 1.1},
            }
            | changes
        )
    )


def test_collapse_weights_bins_by_width_and_takes_the_usual_light_for_what_is_masked():
    cube = make_cube()
    wavelength = np.array([4000.0, 5000.0, 7000.0])
    flux = np.tile(np.array([[1.0], [2.0], [4.0]]), (1, 49))
    mask = np.zeros((3, 49), np.uint8)
    mask[2, 0] = 2
    mask[:, 1] = 8
    small = Cube(wavelength=wavelength, flux=flux, variance=flux, mask=mask, spaxels=cube.spaxels)
    widths = np.gradient(wavelength)
    picture = collapse(small, 3900, 7100)
    assert picture[2] == pytest.approx(np.average([1, 2, 4], weights=widths))
    assert picture[0] == pytest.approx(picture[2])
    assert np.isnan(picture[1])
    with pytest.raises(ValueError, match="no wavelength between 100 and 200"):
        collapse(small, 100, 200)


def test_difference_picture_is_the_difference():
    assert np.allclose(map_of_cube(make_cube(10), subtract=make_cube(4)).values, 6)


def test_page_has_the_same_bytes_each_time(tmp_path):
    marks = [ApertureMark(x_arcsec=0, y_arcsec=0, semi_major_arcsec=1, label="A")]
    digests = {
        plot_spectrum(
            tmp_path / name, make_spectrum(), name="ZTF18abc", image=map_of_cube(make_cube()), apertures=marks
        )
        for name in ("one.pdf", "two.pdf")
    }
    assert len(digests) == 1
    content = (tmp_path / "one.pdf").read_bytes()
    assert content.startswith(b"%PDF") and b"CreationDate" not in content


@pytest.mark.parametrize(
    "flux",
    [
        np.full(60, np.nan),
        np.zeros(60),
        np.full(60, -1e-17),
        np.r_[np.full(59, np.nan), 1e-16],
        np.linspace(-1, 1, 60) * 1e5,
    ],
    ids=["no data", "zero", "negative", "one point", "instrumental"],
)
def test_no_spectrum_is_too_poor_for_a_page(tmp_path, flux):
    plot_spectrum(tmp_path / "x.pdf", make_spectrum(flux, sky=np.full(60, np.nan), meta={}), name="x")
    assert (tmp_path / "x.pdf").stat().st_size > 5000


def test_names_with_signs_of_mathematics_are_taken_as_they_are(tmp_path):
    plot_spectrum(tmp_path / "x.png", make_spectrum(), name="a$b_{c^\\d$ [A] %")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_maps_bear_missing_values_and_constant_fields(tmp_path):
    cube = make_cube()
    values = np.full(49, 3.0)
    holes = np.where(np.arange(49) % 5, 1.0 * np.arange(49), np.nan)
    panels = [
        MapPanel(title="constant", image=map_of_values(cube.spaxels, values)),
        MapPanel(title="holes", image=map_of_values(cube.spaxels, holes, label="px"), centred=True),
        MapPanel(title="nothing", image=map_of_values(cube.spaxels, np.full(49, np.nan))),
    ]
    assert plot_maps(tmp_path / "a.png", panels, title="t") == plot_maps(tmp_path / "b.png", panels, title="t")


def test_sensitivity_page(tmp_path):
    wavelength = np.linspace(3700, 9300, 60)
    curve = 1e-17 * (1 + (wavelength / 6000 - 1) ** 2)
    holes = np.where(wavelength > 9000, np.nan, curve)
    plot_sensitivity(tmp_path / "s.pdf", wavelength, holes, stars={"Feige34": curve}, error=0.02 * curve)
    assert (tmp_path / "s.pdf").stat().st_size > 5000


def test_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.pdf or \.png"):
        plot_spectrum(tmp_path / "x.svg", make_spectrum(), name="x")


def test_picture_limits_show_noise_and_object():
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(100, 1, 990), np.full(10, 500.0)]
    low, high = picture_limits(values, symmetric=False)
    assert 97 < low < 99 and high == pytest.approx(500)
    low, high = picture_limits(values - 100, symmetric=True)
    assert low == pytest.approx(-high, abs=0.2)


def test_a_page_has_letters_in_use_only_and_the_field_as_one_picture(tmp_path):
    plot_spectrum(tmp_path / "x.pdf", make_spectrum(), name="x", image=map_of_cube(make_cube()))
    content = (tmp_path / "x.pdf").read_bytes()
    assert b"/FontFile2" not in content and b"/Type3" in content  # a whole font takes 0.3 s to cut to size
    assert content.count(b"/Subtype /Image") == 2  # colours, and where there are any
