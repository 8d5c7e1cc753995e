"""The night's web page: whole, escaped, relative, and not written again for nothing."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from tell_samples import SNID, field, observed, state, write_cube_header, write_flux_calibration, write_products

from sedmd.after.report.efficiency import BAND_NAMES
from sedmd.after.report.figures import night_figures
from sedmd.after.report.night_state import Tonight
from sedmd.after.report.nightreport import classification_of, make_report
from sedmd.after.spectra import final_spectra
from sedmd.after.web.chart import Chart, Curve, draw_chart, ticks
from sedmd.after.web.finders import finder_of
from sedmd.after.web.nightpage import index_page
from sedmd.after.web.pictures import SIZE, field_png
from sedmd.after.web.site import publish, site_root
from sedmd.core.config import from_table
from sedmd.core.errors import ConfigError
from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.core.target_names import safe_name
from sedmd.products.ascii import read_ascii
from sedmd.products.cube import write_cube
from sedmd.products.guide import GuideRecord, write_guide
from sedmd.products.plots.maps import ApertureMark, MapImage
from sedmd.reduce.numeric.containers import Cube, Spaxels
from sedmd.reduce.target.host_images import HostImage

EVIL = "a <b>\"quoted\"</b> & 'single'"
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Links of a page, its text, and whether every element that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for key, value in attrs if key in ("href", "src")]
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "redux" / "20190612").mkdir(parents=True)
    table = {
        "paths": {"raw_root": "raw", "redux_root": "redux"},
        "web": {"root": "web", "title": "Nights & more", "finders": str(tmp_path / "finders" / "{night}")},
    }
    return from_table(table, origin="test", base=tmp_path)


@pytest.fixture
def redux(settings):
    return settings.paths.redux_root / "20190612"


def look(settings, **changes) -> Tonight:
    folder = settings.paths.redux_root / "20190612"
    spectra, errors = final_spectra(folder)
    told = state(**changes) if "targets" not in changes else state(*changes.pop("targets"), **changes)
    figures = night_figures(folder)
    report = make_report(
        told, spectra, {}, figures, bands=BAND_NAMES, as_of="2019-06-12T12:00:00+00:00", trouble=errors
    )
    return Tonight(state=told, spectra=tuple(spectra), figures=figures, report=report)


def page(settings, name="20190612/index.html") -> Page:
    return Page((settings.web.root / name).read_text(encoding="utf-8"))


def test_every_link_is_relative_and_leads_somewhere(settings, redux):
    write_flux_calibration(redux)
    write_cube_header(redux, "ifu20190612_04_00_00")
    write_products(redux, "ZTF19abc")
    write_products(redux, "BD+33d2642_obs1", is_standard=True)
    publish(look(settings), settings.web.root, settings)
    for name in ("index.html", "20190612/index.html"):
        found = page(settings, name)
        assert len(found.links) >= 2
        for link in found.links:
            assert not re.match(r"[a-z]+:|/", link), link
            path, _, anchor = link.partition("#")
            if path:
                assert (settings.web.root / name).parent.joinpath(unquote(path)).resolve().is_file(), link
            else:
                assert unquote(anchor) in found.ids, link


def test_products_on_the_site_are_the_products(settings, redux):
    write_products(redux, "ZTF19abc")
    publish(look(settings), settings.web.root, settings)
    for name in ("sp_ZTF19abc.fits", "ZTF19abc_SEDM.txt", "ZTF19abc_SEDM.pdf"):
        copy = settings.web.root / "20190612" / name
        assert copy.read_bytes() == (redux / name).read_bytes()
        # a slip of the pen in the web folder must not reach a product that the ledger checks
        assert copy.stat().st_ino != (redux / name).stat().st_ino


def test_one_exposure_of_a_pair_says_so_and_a_single_does_not(settings, redux):
    write_products(redux, "ZTF19abc_obs1", method="psf A", half_of_pair="A")
    publish(look(settings), settings.web.root, settings)
    assert "only A of a pair" in page(settings).text
    write_products(redux, "ZTF19abc_obs1")
    publish(look(settings), settings.web.root, settings)
    assert "of a pair" not in page(settings).text


def test_names_are_text_never_markup(settings, redux):
    name = safe_name(EVIL)
    write_products(redux, name, EVIL, reducer="<i>ann</i>", program="&amp;")
    troubled = look(settings, targets=[observed("x<y", "extract failed", "<script>alert(1)</script>")])
    publish(troubled, settings.web.root, settings)
    text = (settings.web.root / "20190612" / "index.html").read_text()
    assert "<script" not in text and "<i>" not in text and '<b>"' not in text
    assert EVIL in page(settings).text
    assert "<script>alert(1)</script>" in page(settings).text
    assert "Nights & more" in page(settings, "index.html").text


def test_publishing_again_writes_nothing(settings, redux):
    write_products(redux, "ZTF19abc")
    first = publish(look(settings), settings.web.root, settings)
    assert {"20190612/index.html", "20190612/ZTF19abc_field.png", "style.css", "index.html"} <= set(first.written)
    times = {path: path.stat().st_mtime_ns for path in settings.web.root.rglob("*")}
    again = publish(look(settings), settings.web.root, settings)
    assert (again.written, again.removed, again.unchanged) == ((), (), len(first.written))
    assert {path: path.stat().st_mtime_ns for path in settings.web.root.rglob("*")} == times


def test_what_changed_is_written_and_what_damage_took_is_mended(settings, redux):
    write_products(redux, "one")
    write_products(redux, "two")
    publish(look(settings), settings.web.root, settings)
    web = settings.web.root / "20190612"
    (web / "two_field.png").write_bytes(b"damage")
    write_products(redux, "one", quality=2)
    done = publish(look(settings), settings.web.root, settings)
    names = {Path(name).name for name in done.written}
    assert {"sp_one.fits", "one_SEDM.txt", "two_field.png", "index.html"} <= names
    assert "sp_two.fits" not in names
    assert (web / "two_field.png").read_bytes().startswith(b"\x89PNG")


def test_what_an_earlier_run_made_and_nobody_wants_goes_and_nothing_else(settings, redux):
    write_products(redux, "abc")
    publish(look(settings), settings.web.root, settings)
    web = settings.web.root / "20190612"
    (web / "notes.txt").write_text("by a person")
    told = json.loads((web / "night.json").read_text())
    told["files"]["../../redux/20190612/abc_SEDM.txt"] = ["", ""]  # a list that somebody tampered with
    (web / "night.json").write_text(json.dumps(told))
    (redux / "sp_abc.fits").unlink()
    done = publish(look(settings), settings.web.root, settings)
    assert "20190612/sp_abc.fits" in done.removed
    assert not (web / "sp_abc.fits").exists()
    assert (web / "notes.txt").exists() and (redux / "abc_SEDM.txt").exists()


def test_a_dry_run_tells_and_writes_nothing(settings, redux):
    write_products(redux, "abc")
    done = publish(look(settings), settings.web.root, settings, dry_run=True)
    assert "20190612/sp_abc.fits" in done.written
    assert not settings.web.root.exists()


def test_an_observers_spectrum_without_a_picture_costs_the_picture_only(settings, redux):
    write_products(redux, "abc_redo", "abc", picture=False, step="observer")
    done = publish(look(settings), settings.web.root, settings)
    assert any("no picture of the field" in trouble for trouble in done.errors)
    assert (settings.web.root / "20190612" / "sp_abc_redo.fits").is_file()
    assert "<svg" in (settings.web.root / "20190612" / "index.html").read_text()


def cube(star: tuple[float, float]) -> Cube:
    """A field of 61 spaxels with a star that is 100 times as bright as the sky."""
    q, r = (axis.ravel() for axis in np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    inside = np.abs(q + r) <= 4
    x, y = 0.63 * (q + r / 2)[inside], 0.63 * (np.sqrt(3) / 2 * r)[inside]
    spaxels = Spaxels(ident=np.arange(x.size), q=q[inside], r=r[inside], x_arcsec=x, y_arcsec=y)
    light = 1 + 100 * np.exp(-((x - star[0]) ** 2 + (y - star[1]) ** 2))
    flux = np.tile(light, (WAVELENGTH_GRID.size, 1)).astype(np.float32)
    mask = np.zeros(flux.shape, np.uint8)
    return Cube(wavelength=WAVELENGTH_GRID, flux=flux, variance=flux, mask=mask, spaxels=spaxels)


def test_an_observers_pair_shows_its_cubes(settings, redux):
    """A minus B: red where A has the star, blue where B has it."""
    places = {"ifu20190612_04_00_00": (1.2, 0.0), "ifu20190612_04_20_00": (-1.2, 0.0)}
    for frame, place in places.items():
        write_cube(redux / f"e3d_crr_b_{frame}_abc.fits", cube(place))
    a, b = places
    told = {"frame": a, "frame_b": b, "is_pair": True, "x_arcsec": 1.2, "y_arcsec": 0.0, "radius_arcsec": 0.1}
    write_products(redux, "abc", picture=False, step="observer", x_b_arcsec=-1.2, y_b_arcsec=0.0, **told)
    assert publish(look(settings), settings.web.root, settings).errors == ()
    pixels = picture((settings.web.root / "20190612" / "abc_field.png").read_bytes())
    red = np.nonzero(pixels[..., 0] > pixels[..., 2] + 60)[1]
    blue = np.nonzero(pixels[..., 2] > pixels[..., 0] + 60)[1]
    assert red.mean() < SIZE / 2 < blue.mean()  # A stands East, on the left


def test_the_plot_of_the_best_match_is_linked(settings, redux):
    write_products(redux, "abc", snid=SNID | {"CLASSTYPE": "Ia"})
    write_products(redux, "abc_obs1", snid=SNID)
    (redux / "classified").mkdir()
    for name in ("abc_Ia.png", "abc_obs1_Ib.png"):
        (redux / "classified" / name).write_bytes(b"plot")
    tonight = look(settings)
    found = {one.product: classification_of(read_ascii(one.ascii).header) for one in tonight.spectra}
    lines = tuple(replace(line, classification=found[line.product]) for line in tonight.report.lines)
    tonight = replace(tonight, report=replace(tonight.report, lines=lines))
    publish(tonight, settings.web.root, settings)
    shown = page(settings)
    assert "abc_Ia.png" in shown.links and "abc_obs1_Ib.png" not in shown.links
    assert "Ia-norm z 0.0512 rlap 12.3" in shown.text


def test_a_spectrum_that_is_damaged_behind_its_header_costs_itself_only(settings, redux):
    write_products(redux, "good")
    write_products(redux, "torn")
    path = redux / "sp_torn.fits"
    path.write_bytes(path.read_bytes()[:-4000])
    done = publish(look(settings), settings.web.root, settings)
    assert any("torn" in trouble for trouble in done.errors)
    assert (settings.web.root / "20190612" / "good_field.png").is_file()


def test_the_finder_of_the_target_is_shown(settings, redux, tmp_path):
    folder = tmp_path / "finders" / "20190612"
    folder.mkdir(parents=True)
    Image.new("RGB", (900, 600), "red").save(folder / "finder_rc20190612_04_18_00_ACQ-abc_NA.png")
    (folder / "finder_rc20190612_04_18_00_ACQ-torn_NA.png").write_bytes(b"no picture")
    write_products(redux, "abc")
    write_products(redux, "torn")
    done = publish(look(settings), settings.web.root, settings)
    with Image.open(settings.web.root / "20190612" / "abc_finder.jpg") as shown:
        assert shown.size == (600, 400)
    assert any("finder_rc20190612_04_18_00_ACQ-torn_NA.png is not on the page" in one for one in done.errors)


def test_where_nobody_made_a_finder_one_is_drawn_from_the_cutouts(settings, redux, tmp_path):
    write_products(redux, "abc")
    with fits.open(redux / "sp_abc.fits", mode="update") as hdul:
        hdul[0].header["OBJRA"], hdul[0].header["OBJDEC"] = "12:29:12.0", "+12:24:00.0"
    place = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 187.3, "CRVAL2": 12.4}
    header = fits.Header(place | {"CRPIX1": 101.0, "CRPIX2": 101.0, "CDELT1": -0.4 / 3600, "CDELT2": 0.4 / 3600})
    (tmp_path / "cut" / "abc").mkdir(parents=True)
    values = np.random.default_rng(1).normal(0, 1, (201, 201)).astype(np.float32)
    fits.PrimaryHDU(values, header=header).writeto(tmp_path / "cut" / "abc" / "r.fits")
    publish(look(settings), settings.web.root, settings)
    assert "abc_finder" not in " ".join(page(settings).links)
    cut = replace(settings, extraction=replace(settings.extraction, cutouts=tmp_path / "cut"))
    assert publish(look(cut), cut.web.root, cut).errors == ()
    assert "abc_finder.png" in page(cut).links
    with Image.open(cut.web.root / "20190612" / "abc_finder.png") as shown:
        assert shown.size == (500, 500)
    assert "20190612/abc_finder.png" not in publish(look(cut), cut.web.root, cut).written  # as it should be


def test_where_nobody_made_a_finder_one_is_drawn_from_the_acquisition_frame(settings, redux):
    write_products(redux, "abc")
    frame = "ifu20190612_04_31_53"
    with fits.open(redux / "sp_abc.fits", mode="update") as hdul:
        hdul[0].header["FRAME"] = frame
    values = np.random.default_rng(1).normal(100, 5, (300, 300))
    values[100:110, 150:160] += 500.0
    to_pixel = np.array([[-2.5, 0.0, 150.0], [0.0, -2.5, 150.0]])
    image = HostImage(band="r", wavelength=6190.0, values=values, to_pixel=to_pixel, fwhm_arcsec=2.0)
    guide = redux / f"guide_{frame}.fits"
    write_guide(guide, GuideRecord(), None, [], finder=image)
    assert publish(look(settings), settings.web.root, settings).errors == ()
    assert "abc_finder.png" in page(settings).links
    with Image.open(settings.web.root / "20190612" / "abc_finder.png") as shown:
        grey = np.asarray(shown.convert("L")).astype(int)
    # the star at low rows is North of the target, and up
    dark = np.argwhere(grey[:240, 100:400] < 80)
    assert len(dark) and dark[:, 0].mean() < 150
    guide.write_bytes(guide.read_bytes()[:-3000])
    assert any(
        "no finder from its acquisition frame" in one
        for one in publish(look(settings), settings.web.root, settings).errors
    )


def test_a_night_without_a_spectrum_has_a_page(settings):
    publish(look(settings, closed=False), settings.web.root, settings)
    assert "No spectrum yet" in page(settings).text
    assert 'http-equiv="refresh"' in (settings.web.root / "20190612" / "index.html").read_text()


def test_the_site_has_a_place_of_its_own(settings, tmp_path):
    assert site_root(settings, None) == tmp_path / "web"
    assert site_root(settings, tmp_path / "other") == tmp_path / "other"
    for wrong in (settings.paths.redux_root, settings.paths.raw_root, settings.paths.raw_root / "web"):
        with pytest.raises(ConfigError, match="another folder"):
            site_root(settings, wrong)
    nowhere = from_table({"paths": {"raw_root": "raw", "redux_root": "redux"}}, origin="test", base=tmp_path)
    with pytest.raises(ConfigError, match="--out"):
        site_root(nowhere, None)


def test_the_index_lists_nights_even_when_little_is_known():
    text = Page(index_page([{"night": "20190613"}, {"night": "20190612", "failed": 2, "seeing": 1.84}], title="X")).text
    assert text.index("2019-06-13") < text.index("2019-06-12")
    assert "1.8″" in text


# finders


def names(*found: str) -> list[Path]:
    return [Path(name) for name in found]


def test_a_finder_is_the_nearest_in_time_of_exactly_this_target():
    early, late = (f"finder_rc20190612_{hour}_00_00_ACQ-ZTF19a_NA.png" for hour in ("04", "09"))
    other = names("finder_rc20190612_08_00_00_ACQ-ZTF19ab_NA.png", "finder_rc20190612_08_00_00_ACQ-ZTF19a_b_NA.png")
    at = datetime(2019, 6, 12, 8, 0, tzinfo=UTC)
    assert finder_of([*names(early, late), *other], ["ZTF19a"], at) == Path(late)
    assert finder_of(names(early, late), ["ZTF19a"], datetime(2019, 6, 12, 5, tzinfo=UTC)) == Path(early)
    assert finder_of(names(early, late), ["ZTF19a"], None) == Path(late)
    assert finder_of(other, ["ZTF19a"], at) is None
    assert finder_of(names(early), [""], at) is None


@pytest.mark.parametrize("name", ["a.c", "a+c", "BD+33d2642", "[x]"])
def test_a_name_is_no_pattern(name):
    right = Path(f"finder_20190612_04_00_00_ACQ-{name}_NA.png")
    wrong = Path("finder_20190612_04_00_00_ACQ-abc_NA.png")
    assert finder_of([wrong, right], [name], None) == right


# pictures and charts


def picture(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_north_is_up_and_east_is_left():
    found = field(31)
    image = MapImage(x_arcsec=found.x_arcsec, y_arcsec=found.y_arcsec, values=found.values, corners=found.corners)
    pixels = picture(field_png(image))
    assert pixels.shape == (SIZE, SIZE, 3)
    # the star stands 1 arcsec East and 2 South: left of the middle, and below it
    bright = (pixels[..., 0] > 180) & (pixels[..., 1] > 180) & (pixels[..., 2] < 90)
    rows, columns = np.nonzero(bright)
    scale = SIZE / (2 * (0.63 * 15 + 0.6))
    assert columns.mean() == pytest.approx(SIZE / 2 - 1.0 * scale, abs=0.3 * scale)
    assert rows.mean() == pytest.approx(SIZE / 2 + 2.0 * scale, abs=0.3 * scale)


def test_an_aperture_turns_from_north_to_east():
    found = field(31)
    image = MapImage(
        x_arcsec=found.x_arcsec, y_arcsec=found.y_arcsec, values=np.zeros(found.values.size), corners=found.corners
    )
    mark = ApertureMark(x_arcsec=0, y_arcsec=0, semi_major_arcsec=6, axis_ratio=0.2, angle_deg=45)
    pixels = picture(field_png(image, [mark]))
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 90) & (pixels[..., 2] < 90)
    rows, columns = np.nonzero(red)
    # North-East is up and to the left: row and column grow together along the ellipse
    assert np.corrcoef(rows, columns)[0, 1] > 0.8


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0.0021, 0.0049, [0.003, 0.004]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high, 5) == pytest.approx(expected)


def test_a_gap_breaks_the_line_and_the_svg_is_well_formed():
    x = np.arange(10.0)
    y = np.where(x == 4, np.nan, x)
    chart = draw_chart(Chart(curves=[Curve(x=x, y=y, label="a & <b>")], x_label='"x"', y_label="y", title="<t>"))
    root = ET.fromstring(chart)
    lines = [one for one in root.iter("path") if one.get("class") == "line c0"]
    assert len(lines) == 3  # two pieces, and the one beside the label
    assert any(one.text == "a & <b>" for one in root.iter("text"))


def test_a_chart_of_nothing_is_a_chart():
    for curves in ([], [Curve(x=[np.nan], y=[np.nan])], [Curve(x=[1.0], y=[2.0], dots=True)]):
        text = draw_chart(Chart(curves=curves, x_label="x", y_label="y"))
        assert "nan" not in text
        ET.fromstring(text)
