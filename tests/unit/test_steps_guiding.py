"""The step that measures acquisition and guider frames: which are used, and what comes of them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from astropy.io import fits

from sedmd.core.job import Job
from sedmd.observation.seeing import guided_places
from sedmd.products.fitsio import read_checked
from sedmd.products.guide import read_finder, read_guide
from sedmd.products.star_table import EPOCH, STAR, add_stars
from sedmd.reduce.guide.camera import ACQUISITION_PIXEL, SkyScale, filters_of, spectrograph_pixel
from sedmd.reduce.target.place import Place
from sedmd.steps.guiding import measure_guiding
from unit.guide_scenes import on_chip, random_offsets, star_field, table_of

CENTRE = (48.6100, 31.1480)
STEM = "ifu20211018_05_12_31"
SKY = SkyScale(scale_arcsec=0.3935, turn_deg=0.6)
AIM = np.array([-1.5, 2.5])
#: The encoder during the exposure, and during acquisition in the filter r, from the target [arcsec East, North].
ENCODER, ACQUIRED = np.array([-110.0, -125.0]), np.array([60.0, 110.0])
LINK = "+0.70 -1.20 +-0.35, 12 exposures since 20211002"
OFFSETS = random_offsets(90, seed=3, reach=500.0)


def cards(label, kind, exptime, encoder, start):
    from sedmd.products.sky import sexagesimal_text

    ra = CENTRE[0] + encoder[0] / 3600 / np.cos(np.deg2rad(CENTRE[1]))
    ra_text, dec_text = sexagesimal_text(ra, CENTRE[1] + encoder[1] / 3600)
    target = sexagesimal_text(*CENTRE)
    return {
        "OBJECT": label,
        "NAME": "ZTF21abcdefg",
        "IMGTYPE": kind,
        "EXPTIME": exptime,
        "GAIN": 1.77,
        "UTC": start,
        "RA": ra_text,
        "DEC": dec_text,
        "OBJRA": target[0],
        "OBJDEC": target[1],
        "AIRMASS": 1.0,
        "ENDAIR": 1.0,
        "TEL_PA": 0.0,
        "END_PA": 0.0,
    }


def write(path, data, header):
    hdu = fits.PrimaryHDU(data.astype(np.uint16), header=fits.Header(header))
    hdu.writeto(path)
    return path


@cache
def frame(aim, seed=1, count=90, clouds=1.0):
    """Stars about a target that stands so many arcsec from the pixel of the spectrograph."""
    table = table_of(CENTRE, OFFSETS)
    places = on_chip(OFFSETS[:count], spectrograph_pixel() + SKY.pixels(np.array([aim]))[0], SKY)
    bands = filters_of(*places.T)
    mags = np.select([bands == b for b in "gri"], [table.magnitudes(b)[:count] for b in "gri"], default=17.0)
    seen = (places > 5).all(axis=1) & (places < 2040).all(axis=1) & (bands != "")
    electrons = 30.0 * clouds * 10 ** (0.4 * (24.5 - mags))
    mean = {"u": 3560.0, "g": 4720.0, "r": 6190.0, "i": 7500.0}
    wide = 4.6 * np.array([(mean[b] / 6500) ** -0.2 for b in bands[seen]])
    return star_field(places[seen], electrons[seen], fwhm_px=wide, seed=seed)


def step(folder, rc, *, stars=True, **options):
    """A job of the step with these frames of the rainbow camera: name -> (data, cards)."""
    raw = folder / f"{STEM}.fits"
    write(raw, np.zeros((8, 8)), cards("ZTF21abcdefg [A]", "Science", 2160.0, ENCODER, "2021-10-18T05:12:31.4"))
    inputs = {"raw": (raw,), "rc": tuple(write(folder / f"{name}.fits", *given) for name, given in rc.items())}
    if stars:
        table = table_of(CENTRE, OFFSETS)
        rows = np.zeros(len(OFFSETS), STAR)
        rows["ra"], rows["dec"], rows["g"], rows["bp_rp"] = table.ra_deg, table.dec_deg, table.g_mag, table.bp_rp
        add_stars(folder / "stars", [rows])
        inputs["stars"] = (folder / "stars" / "stars.json",)
    return Job(
        step="guide",
        night="20211018",
        label=STEM,
        inputs=inputs,
        outputs={"guide": folder / f"guide_{STEM}.fits"},
        options={"use": ["position", "seeing", "transparency"], "link": LINK, "sky": ""} | options,
    )


def guider(minute, **how):
    start = f"2021-10-18T05:{minute:02d}:40.1"
    return frame(tuple(AIM), minute, **how), cards("Guider: ZTF21abcdefg", "Guider", 30.0, ENCODER, start)


def rows_of(job):
    return {str(row["FRAME"]): str(row["WHY"]) for row in read_checked(job.outputs["guide"])["FRAMES"].data}


def test_guider_frames_tell_where_the_target_is_the_seeing_and_the_air(tmp_path):
    job = step(tmp_path, {f"rc20211018_05_{m:02d}_40": guider(m) for m in (13, 20, 40)})
    figures = measure_guiding(job).figures
    record = read_guide(job.outputs["guide"])
    assert record.source == "guider" and record.offset == pytest.approx(AIM, abs=0.06)
    assert record.error_arcsec < 0.15 and figures["frames"] == 3 and figures["stars"] > 30
    assert record.seeing_arcsec == pytest.approx(4.6 * 0.3935, rel=0.03)
    assert SkyScale.of(figures["sky"]).turn_deg == pytest.approx(0.6, abs=0.03)
    assert set(record.zero_points) == set("gri")
    # the extinction of the clear air is taken out
    from sedmd.data.extinction import extinction_mag

    for band, wavelength in {"g": 4720.0, "r": 6190.0, "i": 7500.0}.items():
        air = float(extinction_mag(np.array([wavelength]))[0])
        assert record.zero_points[band].mag == pytest.approx(24.5 + air, abs=0.03)
    assert rows_of(job) == dict.fromkeys(rows_of(job), "")
    (place,) = guided_places([record], None)
    assert (place.x_arcsec, place.y_arcsec) == pytest.approx((AIM[0] + 0.7, AIM[1] - 1.2), abs=0.06)
    assert place.measured and 0.35 < place.spread_arcsec < 0.4 and "guider" in place.source
    before = job.outputs["guide"].read_bytes()
    measure_guiding(job)
    assert job.outputs["guide"].read_bytes() == before


def test_without_guider_frames_the_acquisition_frame_tells(tmp_path):
    # where a target lies that acquisition put into r, and where the telescope's step takes it
    drift = np.array([3.0, -2.0])
    acquired = SKY.offsets(np.array([ACQUISITION_PIXEL]) - 1 - spectrograph_pixel())[0] - ACQUIRED + drift
    taken = cards("ACQ-ZTF21abcdefg r", "Acquisition", 30.0, ACQUIRED, "2021-10-18T05:11:00.0")
    job = step(tmp_path, {"rc20211018_05_11_00": (frame(tuple(acquired)), taken)})
    measure_guiding(job)
    record = read_guide(job.outputs["guide"])
    assert record.source == "acquisition" and record.error_arcsec > 1.0
    assert record.offset == pytest.approx(acquired - (ENCODER - ACQUIRED), abs=0.1)
    assert record.seeing_arcsec is None and not record.zero_points
    (place,) = guided_places([record], None)
    assert not place.measured  # an arcsec is not enough to overrule what is seen


def brightest_near(chart, offset, reach=4):
    """Column and row of the brightest pixel about a place of the sky, arcsec East and North of the target."""
    column, row = np.rint(chart.to_pixel @ [*offset, 1.0]).astype(int)
    part = chart.values[row - reach : row + reach + 1, column - reach : column + reach + 1]
    low, left = np.unravel_index(int(part.argmax()), part.shape)
    return column - reach + left, row - reach + low


@pytest.mark.parametrize("guided", [False, True])
def test_the_acquisition_frame_about_the_target_is_kept_for_a_finder(tmp_path, guided):
    # 40 arcsec farther from the cross than where acquisition should have put it
    acquired = SKY.offsets(np.array([ACQUISITION_PIXEL]) + 99 - spectrograph_pixel())[0]
    taken = cards("ACQ-ZTF21abcdefg r", "Acquisition", 30.0, ACQUIRED, "2021-10-18T05:11:00.0")
    rc = {"rc20211018_05_11_00": (frame(tuple(acquired)), taken)}
    job = step(tmp_path, rc | ({"rc20211018_05_13_40": guider(13)} if guided else {}))
    measure_guiding(job)
    assert read_guide(job.outputs["guide"]).source == ("guider" if guided else "acquisition")
    chart = read_finder(job.outputs["guide"])
    assert chart.band == "r"
    # stars about the target are where the chart says that these places of the sky are
    places = np.column_stack([OFFSETS, np.ones(len(OFFSETS))]) @ chart.to_pixel.T
    inside = (places > 5).all(axis=1) & (places < np.array(chart.values.shape[::-1]) - 6).all(axis=1)
    assert inside.any()
    for offset in OFFSETS[inside]:
        found = brightest_near(chart, offset)
        assert np.hypot(*(np.array(found) - chart.to_pixel @ [*offset, 1.0])) < 1.5


def test_without_an_acquisition_frame_there_is_no_finder(tmp_path):
    job = step(tmp_path, {"rc20211018_05_13_40": guider(13)})
    measure_guiding(job)
    assert read_finder(job.outputs["guide"]) is None


def test_frames_that_do_not_belong_cost_only_themselves(tmp_path):
    other = guider(25)[1] | {"OBJRA": "03:16:00.0"}
    late = cards("Guider: ZTF21abcdefg", "Guider", 30.0, ENCODER, "2021-10-18T05:55:00.0")
    small = guider(27)[1]
    job = step(
        tmp_path,
        {
            "rc20211018_05_13_40": guider(13),
            "rc20211018_05_25_40": (guider(13)[0], other),
            "rc20211018_05_26_40": (guider(13)[0], guider(26)[1] | {"OBJECT": "ZTF21x  r", "IMGTYPE": "Science"}),
            "rc20211018_05_27_40": (np.zeros((16, 16)), small),
            "rc20211018_05_55_00": (guider(13)[0], late),
        },
    )
    broken = tmp_path / "rc20211018_05_30_00.fits"
    broken.write_bytes(b"SIMPLE  =                    T" * 50)
    gone = tmp_path / "rc20211018_05_31_00.fits"
    job = replace(job, inputs=dict(job.inputs) | {"rc": (*job.inputs["rc"], broken, gone)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sedmd.steps.guiding.provenance", lambda job: None)  # of a file that is gone there is none
        assert measure_guiding(job).figures["frames"] == 1
    why = rows_of(job)
    assert why.pop("rc20211018_05_13_40") == ""
    assert why["rc20211018_05_25_40"] == "of another target" and "neither" in why["rc20211018_05_26_40"]
    assert "16 x 16" in why["rc20211018_05_27_40"] and "not taken with" in why["rc20211018_05_55_00"]
    assert all("cannot be read" in why[name] for name in ("rc20211018_05_30_00", "rc20211018_05_31_00"))
    assert read_guide(job.outputs["guide"]).offset == pytest.approx(AIM, abs=0.08)


def test_without_stars_or_with_a_damaged_table_the_seeing_is_left(tmp_path):
    given = {"rc20211018_05_13_40": guider(13)}
    (tmp_path / "a").mkdir()
    bare = step(tmp_path / "a", given, stars=False)
    measure_guiding(bare)
    record = read_guide(bare.outputs["guide"])
    assert record.offset is None and record.seeing_arcsec is not None and not record.zero_points
    assert guided_places([record], None) == ()
    (tmp_path / "b").mkdir()
    job = step(tmp_path / "b", given)
    for tile in (tmp_path / "b" / "stars" / "tiles").rglob("*.npy"):
        tile.write_bytes(b"no tile")
    measure_guiding(job)
    header = read_checked(job.outputs["guide"])[0].header
    assert "is damaged" in header["LACK1"] and "GUIDEX" not in header and "RCFWHM" in header


@pytest.mark.parametrize("use", [[], ["position"], ["seeing"], ["transparency"]])
def test_each_use_can_be_switched_off(tmp_path, use):
    job = step(tmp_path, {"rc20211018_05_13_40": guider(13)}, use=use)
    measure_guiding(job)
    record = read_guide(job.outputs["guide"])
    assert (record.offset is not None) == ("position" in use)
    assert (record.seeing_arcsec is not None) == ("seeing" in use)
    assert bool(record.zero_points) == ("transparency" in use)


def test_an_unknown_link_tells_no_place_and_the_nights_star_refines_a_known_one(tmp_path):
    record = read_guide(_made(tmp_path))
    known = Place.of(LINK)
    assert record.link == known
    star = {"XPOS": 0.9 + 4.0, "YPOS": -1.1 - 2.0, "GUIDEX": 4.0, "GUIDEY": -2.0}
    (place,) = guided_places([record], star)
    assert place.x_arcsec == pytest.approx((12 * 0.7 + 0.9) / 13 + record.offset[0], abs=1e-6)
    # one that contradicts by arcsecs: either may be true, and neither decides alone
    two = guided_places([record], star | {"XPOS": 12.0})
    assert len(two) == 2 and not all(one.measured for one in two)
    # a star without guider frames tells nothing here
    assert guided_places([record], {"XPOS": 0.9, "YPOS": 1.0})[0].x_arcsec == pytest.approx(0.7 + record.offset[0])


def _made(folder):
    job = step(folder, {"rc20211018_05_13_40": guider(13)})
    measure_guiding(job)
    return job.outputs["guide"]


def test_positions_of_the_table_are_of_its_epoch():
    assert EPOCH == 2016.0
