"""The instrument over the nights: the table says what the products say."""

import json

import numpy as np
import pytest
from astropy.io import fits
from tell_samples import write_cube_header, write_flux_calibration, write_products

from sedmd.after.report.figures import night_figures, primary_cards
from sedmd.after.report.trend import nights_of, trend, trend_json, trend_text
from sedmd.after.report.trendplot import plot_trend


@pytest.fixture
def root(tmp_path):
    """Three nights with an efficiency of 10, 11 and 12 per cent, one that is empty, and what is no night."""
    for number, night in enumerate(("20190601", "20190602", "20190604")):
        folder = tmp_path / night
        folder.mkdir()
        write_flux_calibration(folder, share=0.10 + 0.01 * number)
        write_products(folder, "abc", seeing_arcsec=1.5 + number)
        for minute, flexure in ((0, -0.2), (20, 0.0), (40, 0.6)):
            write_cube_header(folder, f"ifu{night}_04_{minute:02d}_00", FLEXX=flexure + number)
        bias = fits.Header()
        bias["RDNOISE"], bias["GAIN"] = 2.5, 2.0
        fits.PrimaryHDU(np.zeros((4, 4)), header=bias).writeto(folder / "bias0.1.fits")
    (tmp_path / "20190603").mkdir()
    (tmp_path / ".sedmd").mkdir()
    (tmp_path / "trend").mkdir()
    return tmp_path


def test_nights_are_the_folders_that_are_called_so(root):
    assert nights_of(root) == ["20190601", "20190602", "20190603", "20190604"]
    assert nights_of(root / "nowhere") == []


def test_figures_are_those_of_the_products(root):
    one = night_figures(root / "20190602")
    assert one.efficiency == pytest.approx([0.11] * 5, rel=1e-6)
    assert one.standards == 1
    assert one.flexure_x_px == pytest.approx(1.0)  # the median of 0.8, 1.0 and 1.6
    assert one.background_e_per_s == pytest.approx(1.8 / 900)
    assert one.read_noise_e == {"0.1": 5.0}
    assert one.seeing == 2.5
    assert [exposure.utc_hour for exposure in one.exposures] == pytest.approx([4, 4 + 1 / 3, 4 + 2 / 3])


def test_the_newest_nights_that_have_any_figures(root):
    assert [one.night for one in trend(root, nights=2)] == ["20190602", "20190604"]
    assert [one.night for one in trend(root, nights=9)] == ["20190601", "20190602", "20190604"]
    assert [one.night for one in trend(root, nights=9, until="20190603")] == ["20190601", "20190602"]


def test_gain_is_that_of_the_dome(root):
    folder = root / "20190602"
    assert night_figures(folder).gain is None
    dome = fits.PrimaryHDU()
    dome.header.update({"PTGAIN": 1.81, "PTGAINER": 0.01, "RAWGAIN": 1.78})
    dome.writeto(folder / "dome.fits")
    assert night_figures(folder).gain == (1.81, 0.01, 1.78)


def test_table_and_json(root):
    nights = trend(root, nights=9)
    rows = trend_text(nights).splitlines()
    assert rows[-1].split()[:9] == ["20190604", *["12.0"] * 5, "1", "+2.00", "-0.10"]
    assert max(map(len, rows)) <= 120
    told = json.loads(trend_json(nights), parse_constant=pytest.fail)
    assert [one["efficiency"]["650"] for one in told] == pytest.approx([0.10, 0.11, 0.12], rel=1e-6)
    assert told[0]["flexure_x_px"] == 0.0
    assert trend_text([]) == "no night with products yet\n"


def test_a_damaged_product_costs_its_own_figure(root):
    folder = root / "20190604"
    (folder / "std-correction.fits").write_bytes(b"torn")
    (folder / "bias0.1.fits").write_bytes(b"SIMPLE  = T")
    one = night_figures(folder)
    assert one.efficiency == (None,) * 5
    assert one.read_noise_e == {}
    assert one.seeing == 3.5
    assert primary_cards(folder / "bias0.1.fits") == primary_cards(folder / "missing.fits") == {}


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_plots_are_the_same_each_time(root, tmp_path, suffix, magic):
    path = tmp_path / f"t.{suffix}"
    nights = trend(root, nights=9)
    assert plot_trend(path, nights) == plot_trend(path, nights)
    assert path.read_bytes().startswith(magic)
    plot_trend(path, [night_figures(root / "20190601")])  # one night is enough


def test_no_night_no_plot(tmp_path):
    with pytest.raises(ValueError, match="no night"):
        plot_trend(tmp_path / "t.png", [])
