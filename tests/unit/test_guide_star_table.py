"""The site's star table: what goes in comes out again, where it is on the sky and when."""

import gzip
import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from sedmd.cli import main
from sedmd.products.star_files import stars_of_file
from sedmd.products.star_table import EPOCH, STAR, StarTableFault, add_stars, open_stars, tiles_about
from sedmd.reduce.guide.sky import moved_by, separation_deg, tangent_plane
from sedmd.reduce.guide.stars import FieldStars


def stars(ra, dec, g=None, pm=(0.0, 0.0), colour=0.8):
    made = np.zeros(len(ra), STAR)
    made["ra"], made["dec"] = ra, dec
    made["pm_ra"], made["pm_dec"] = pm
    made["g"] = np.linspace(12, 16, len(ra)) if g is None else g
    made["bp_rp"] = colour
    return made


def everywhere(count=500, seed=1):
    rng = np.random.default_rng(seed)
    return stars(rng.uniform(0, 360, count), np.rad2deg(np.arcsin(rng.uniform(-1, 1, count))))


@pytest.mark.parametrize("centre", [(0.02, 40.0), (359.98, -29.9), (133.0, 89.7), (210.0, -90.0), (77.0, 0.0)])
def test_a_field_holds_the_stars_within_its_radius_and_no_others(tmp_path, centre):
    sky = everywhere()
    near = np.random.default_rng(2).normal(0, 0.5, (60, 2))
    ra, dec = centre[0] + near[:, 0] / max(np.cos(np.deg2rad(centre[1])), 0.02), centre[1] + near[:, 1]
    sky = np.concatenate([sky, stars(ra % 360, np.where(dec > 90, 180 - dec, np.where(dec < -90, -180 - dec, dec)))])
    table, new = add_stars(tmp_path, [sky[:300], sky[300:]])
    assert new == table.count == open_stars(tmp_path).count == len(sky)
    found = table.field(centre, 0.7, year=EPOCH)
    truth = SkyCoord(sky["ra"], sky["dec"], unit="deg").separation(SkyCoord(*centre, unit="deg")).deg <= 0.7
    assert len(found) == truth.sum() > 20
    assert np.sort(found.g_mag) == pytest.approx(np.sort(sky["g"][truth]))
    assert (np.diff(found.g_mag) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(
    centre=st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)),
    radius=st.floats(0.01, 3.0),
    angle=st.floats(0, 360),
)
def test_no_tile_is_missed(centre, radius, angle):
    from sedmd.products.star_table import _by_tile

    there = SkyCoord(*centre, unit="deg").directional_offset_by(angle * 1.0 * _deg(), 0.999 * radius * _deg())
    ((tile, _),) = _by_tile(stars([there.ra.deg % 360], [there.dec.deg]))
    assert tile in tiles_about(centre, radius)


def _deg():
    from astropy import units

    return units.deg


def test_order_and_repetition_of_imports_do_not_count(tmp_path):
    sky = everywhere(120)
    one, _ = add_stars(tmp_path / "one", [sky])
    two, _ = add_stars(tmp_path / "two", [sky[70:]])
    two, new = add_stars(tmp_path / "two", [sky[:90]])
    assert (two.ident, two.count, new) == (one.ident, 120, 70)
    again, new = add_stars(tmp_path / "two", [sky])
    assert (again.ident, new) == (one.ident, 0)
    other, _ = add_stars(tmp_path / "two", [stars([10.0], [10.0])])
    assert other.ident != one.ident


def test_proper_motion_takes_a_star_along(tmp_path):
    table, _ = add_stars(tmp_path, [stars([150.0], [60.0], pm=(-1000.0, 500.0))])
    found = table.field((150.0, 60.0), 0.1, year=2026.0)
    east, north = tangent_plane(found.ra_deg, found.dec_deg, (150.0, 60.0))[0]
    assert (east, north) == pytest.approx((-10.0, 5.0), abs=2e-3)
    ra, dec = moved_by(found.ra_deg, found.dec_deg, np.array([-1000.0]), np.array([500.0]), -10.0)
    assert separation_deg(ra, dec, (150.0, 60.0))[0] * 3600 < 2e-3


def test_the_tangent_plane_is_that_of_astropy():
    centre = (201.0, 47.0)
    near = SkyCoord(*centre, unit="deg").directional_offset_by([0, 90, 217] * _deg(), [100, 300, 500] * _deg() / 3600)
    found = tangent_plane(near.ra.deg, near.dec.deg, centre)
    angle = np.deg2rad([0, 90, 217])
    assert found == pytest.approx(np.column_stack([np.sin(angle), np.cos(angle)]) * [[100], [300], [500]], abs=1.5e-3)


HEAD = "source_id,ra,dec,pmra,pmdec,phot_g_mean_mag,phot_bp_mean_mag,phot_rp_mean_mag,ref_epoch\n"
ROWS = (
    "1,10.5,20.25,100.0,-50.0,14.5,15.0,13.9,2016.0\n"
    "2,10.6,20.25,,,15.5,null,,2016.0\n"
    "3,10.7,20.25,3600.0,0.0,16.5,17.0,16.1,2006.0\n"
    "4,10.8,20.25,0,0,19.5,20.0,19.1,2016.0\n"
)


def written(folder, form):
    path = folder / f"gaia.{form}"
    if form in ("csv", "ecsv"):
        path.write_text(("# a comment\n" if form == "ecsv" else "") + HEAD + ROWS)
    elif form == "csv.gz":
        path.write_bytes(gzip.compress((HEAD + ROWS).encode()))
    else:
        lines = [[float(v) if v not in ("", "null") else np.nan for v in row.split(",")] for row in ROWS.split()]
        names = HEAD.strip().split(",")
        columns = [fits.Column(name=n, format="D", array=a) for n, a in zip(names, np.transpose(lines), strict=True)]
        fits.BinTableHDU.from_columns(columns).writeto(path)
    return path


@pytest.mark.parametrize("rows", [1, 2, 500])
@pytest.mark.parametrize("form", ["csv", "ecsv", "csv.gz", "fits"])
def test_files_of_gaia(tmp_path, form, rows):
    found = np.concatenate(list(stars_of_file(written(tmp_path, form), faintest_mag=18.0, rows=rows)))
    assert found["g"] == pytest.approx([14.5, 15.5, 16.5])
    assert found["bp_rp"][[0, 2]] == pytest.approx([1.1, 0.9], abs=1e-5) and np.isnan(found["bp_rp"][1])
    assert found["pm_ra"] == pytest.approx([100.0, 0.0, 3600.0])
    moved = separation_deg(found["ra"], found["dec"], (10.7, 20.25))[2] * 3600
    assert moved == pytest.approx(36.0, abs=1e-3) and found["ra"][2] > 10.7


def test_what_is_no_star_file_is_refused_in_words(tmp_path):
    cases = {
        "stars.csv": ("ra,dec\n1,2\n", "no column phot_g_mean_mag"),
        "stars.fits": ("no table", "cannot be read|holds no table"),
        "stars.csv.gz": ("no gzip", "cannot be read"),
        "stars.txt": ("", "expected a table of stars as"),
        "stars.parquet": ("PAR1", "pyarrow|cannot be read"),
    }
    for name, (text, message) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(StarTableFault, match=message):
            list(stars_of_file(tmp_path / name, faintest_mag=18.0))


def test_a_damaged_table_says_so(tmp_path):
    with pytest.raises(StarTableFault, match="holds no star table"):
        open_stars(tmp_path)
    table, _ = add_stars(tmp_path, [everywhere(50)])
    tile = next((tmp_path / "tiles").rglob("*.npy"))
    tile.write_bytes(tile.read_bytes()[:-9])
    with pytest.raises(StarTableFault, match="is damaged"):
        for ra in range(0, 360, 20):
            table.field((ra, 0.0), 90.0, year=2020.0)
    told = json.loads((tmp_path / "stars.json").read_text())
    (tmp_path / "stars.json").write_text(json.dumps(told | {"epoch": 2000.0}))
    with pytest.raises(StarTableFault, match="epoch 2000"):
        open_stars(tmp_path)


def test_magnitudes_in_the_filters():
    # a star of the colour of the Sun, BP - RP 0.82: g - r 0.44, r - i 0.11 (Willmer 2018, ApJS 236, 47)
    sun = FieldStars(ra_deg=np.zeros(2), dec_deg=np.zeros(2), g_mag=np.full(2, 15.0), bp_rp=np.array([0.82, 4.0]))
    g, r, i = (sun.magnitudes(band) for band in "gri")
    assert (g - r)[0] == pytest.approx(0.44, abs=0.05) and (r - i)[0] == pytest.approx(0.11, abs=0.05)
    assert np.isnan([g[1], r[1], i[1]]).all()


def test_the_command(tmp_path, capsys):
    path = written(tmp_path, "csv")
    assert main(["stars", "import", str(path), "--into", str(tmp_path / "stars")]) == 0
    assert "gaia.csv: 3 new stars; 3 in" in capsys.readouterr().out
    (tmp_path / "sedmd.toml").write_text(
        f'[paths]\nraw_root = "raw"\nredux_root = "redux"\n[guide]\nstars = "{tmp_path}/stars"\n'
    )
    assert main(["stars", "show", "--config", str(tmp_path / "sedmd.toml")]) == 0
    assert "3 stars" in capsys.readouterr().out
    assert main(["stars", "import", str(path), "--faintest", "20", "--config", str(tmp_path / "sedmd.toml")]) == 0
    assert "1 new stars; 4 in" in capsys.readouterr().out
    assert main(["stars", "import", "--into", str(tmp_path)]) == 2
    assert main(["stars", "import", "nothing.csv", "--into", str(tmp_path)]) == 2
    assert main(["stars", "show", "--into", str(tmp_path)]) == 2
