"""From cubes to what a night tells of the sky's light, and from that to the flat of a later night."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.core.job import Job
from sedmd.core.memory_figures import GIVEN_SKY, OWN_SKY
from sedmd.products.cube import write_cube
from sedmd.products.solution import TraceSet, read_field_centre, read_sky_factor, read_traces, write_flat, write_traces
from sedmd.products.tables import read_table
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.wavelength import LineGroup
from sedmd.steps.sky_flat import expected_at, make_sky_flat, sky_correction
from unit.reduce_scenes import hex_spaxels, prism_solution, rng
from unit.sky_nights import exposure, slope_of

SPAXELS = replace(hex_spaxels(20), ident=np.arange(hex_spaxels(20).q.size, dtype=np.int32) + 1)
N = SPAXELS.q.size
LIGHT = 1.0 + slope_of(SPAXELS, 0.02, -0.01)
CENTRE = {"FIELDX": (1024.0, ""), "FIELDY": (1020.0, "")}
PLACE = {"PLACEX": (1.0, ""), "PLACEY": (-2.0, ""), "PLACEERR": (0.7, ""), "PLACESRC": ("learned", "")}


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def write_calibrations(folder, *, factor=None, cards=None):
    t = np.arange(-5.0, 5.01, 0.1)
    lines = (LineGroup("Hg", 5460.7, 0.0, 0.01),)
    solution = replace(prism_solution(np.linspace(200.3, 420.7, N)), groups=lines)
    traces = Traces(
        centre=np.full(N, 300.0),
        y_coeff=10.0 + np.arange(N)[:, None],
        x_first=np.zeros(N, int),
        x_last=np.full(N, 600),
        width=np.array([1.4]),
        width_order=0,
        profile=Profile(step=0.1, value=np.exp(-0.5 * t**2)),
        rms=np.zeros(N),
    )
    found = TraceSet(traces=traces, spaxels=SPAXELS, complete=np.ones(N, bool), start=solution)
    folder.mkdir(parents=True, exist_ok=True)
    write_traces(folder / "traces.fits", found, cards=CENTRE if cards is None else cards)
    flat = np.ones((WAVELENGTH_GRID.size, N), np.float32)
    sky = None if factor is None else (factor, np.full(N, 0.001))
    write_flat(folder / "flat.fits", WAVELENGTH_GRID, flat, SPAXELS, sky=sky, cards={})


def measured(folder, light, *, seed, exposures=3, factor=None, level=600.0, objects=(), cards=None):
    """The result of a night with exposures of a sky that lights its spaxels so, on a flat with such a factor."""
    write_calibrations(folder, factor=factor)
    paths = []
    for number in range(exposures):
        seen = light if factor is None else light / factor
        cube = exposure(seen, level=level, seed=100 * seed + number, objects=objects, spaxels=SPAXELS)
        path = folder / f"e3d_{number}.fits"
        write_cube(path, replace(cube, spaxels=SPAXELS), cards=cards)
        paths.append(path)
    job = Job(
        step="skyflat",
        night=folder.name,
        label=f"{exposures} exposures",
        inputs={"traces": (folder / "traces.fits",), "flat": (folder / "flat.fits",), "cubes": tuple(paths)},
        outputs={"skyflat": folder / "sky-flat.fits"},
    )
    return make_sky_flat(job)


def corrected(folder, earlier, **options):
    write_calibrations(folder)
    job = Job(step="flat", night=folder.name, label="flat", inputs={}, outputs={}, options={"sky": earlier})
    return sky_correction(job if earlier is not None else replace(job, options=options), *given(folder))


def given(folder):
    return read_traces(folder / "traces.fits"), folder / "traces.fits"


def test_a_night_tells_what_lit_its_spaxels_and_writes_it(tmp_path):
    result = measured(tmp_path / "20211017", LIGHT, seed=1)
    table = read_table(tmp_path / "20211017" / "sky-flat.fits")
    pull = (table["VALUE"] - LIGHT / LIGHT.mean()) / table["ERROR"]
    assert np.nanstd(pull) == pytest.approx(1.0, abs=0.15)
    assert table.header["NEXP"] == 3 and table.header["EXP1"] == "e3d_0.fits"
    assert table.header["NSEEN"] == result.figures["spaxels"] == np.isfinite(table["VALUE"]).sum()
    assert result.figures["exposures"] == result.figures["of"] == 3
    assert result.figures["rms [%]"] == pytest.approx(100 * rms(LIGHT - 1), abs=0.1)
    assert_allclose(table["X"], SPAXELS.x_arcsec)


def test_three_nights_correct_the_fourth_whose_night_then_tells_the_same(tmp_path):
    texts = [measured(tmp_path / f"2021101{k}", LIGHT, seed=k, exposures=1).figures[OWN_SKY] for k in (4, 5, 6)]
    earlier = "; ".join(f"2021101{k} {7 - k} {text}" for k, text in zip((6, 5, 4), texts[::-1], strict=True))
    found = corrected(tmp_path / "20211017", earlier)
    wanted = LIGHT / LIGHT.mean()
    assert rms(found.pattern.factor - wanted) < 0.15 * rms(wanted - 1)
    assert found.figures["sky nights"] == 3 and found.figures[GIVEN_SKY] == earlier
    assert found.figures["sky [%]"] == pytest.approx(100 * rms(wanted - 1), rel=0.1)
    assert found.cards["SKYNITE1"][0] == "20211016" and found.cards["SKYAGE3"][0] == 3
    assert found.cards["SKYSMTH"][0] == pytest.approx(rms(wanted - 1), rel=0.1)
    # on the corrected flat the sky is even, and yet the night tells all of it
    result = measured(tmp_path / "20211017", wanted, seed=9, exposures=1, factor=found.pattern.factor)
    assert result.figures["rms [%]"] == pytest.approx(100 * rms(wanted - 1), abs=0.1)


def test_a_flat_keeps_its_factor_and_one_of_before_has_none(tmp_path):
    factor = 1.0 + 0.01 * rng(1).standard_normal(N)
    write_calibrations(tmp_path / "with", factor=factor)
    write_calibrations(tmp_path / "without")
    assert_allclose(read_sky_factor(tmp_path / "with" / "flat.fits"), factor)
    assert_allclose(read_sky_factor(tmp_path / "without" / "flat.fits"), np.ones(N))
    assert read_field_centre(tmp_path / "with" / "traces.fits") == (1024.0, 1020.0)


def test_nothing_is_corrected_without_two_nights(tmp_path):
    text = measured(tmp_path / "20211016", LIGHT, seed=4).figures[OWN_SKY]
    for earlier in ("", f"20211016 1 {text}"):
        found = corrected(tmp_path / "20211017", earlier)
        assert found.pattern is None and found.cards == {} and found.figures == {GIVEN_SKY: earlier}
        assert found.warnings == ()
    assert corrected(tmp_path / "20211017", None).figures == {}


def test_a_night_of_another_field_centre_is_named_and_not_used(tmp_path):
    texts = [measured(tmp_path / f"2021101{k}", LIGHT, seed=k).figures[OWN_SKY] for k in (5, 6)]
    other = ":".join(["900", *texts[0].split(":")[1:]])
    found = corrected(tmp_path / "20211017", f"20211016 1 {texts[1]}; 20211015 2 {other}")
    assert found.pattern is None
    (warning,) = found.warnings
    assert "the sky of 20211015 is not used" in warning


def test_what_is_no_illumination_is_reported_and_not_corrected(tmp_path):
    wild = LIGHT * np.where(SPAXELS.x_arcsec > 0, 1.5, 1.0)
    texts = [measured(tmp_path / f"2021101{k}", wild, seed=k).figures[OWN_SKY] for k in (5, 6)]
    found = corrected(tmp_path / "20211017", "; ".join(f"2021101{k} 1 {text}" for k, text in enumerate(texts, 5)))
    assert found.pattern is None
    (warning,) = found.warnings
    assert "at most 15 % expected; it is not corrected for the sky" in warning


def test_a_text_that_cannot_be_read_costs_the_correction_and_not_the_flat(tmp_path):
    text = measured(tmp_path / "20211016", LIGHT, seed=4, exposures=1).figures[OWN_SKY]
    found = corrected(tmp_path / "20211017", f"20211016 1 {text}; 20211015 2 4000.0:0.1:0.2")
    assert found.pattern is None
    (warning,) = found.warnings
    assert "tells nothing of the sky's light" in warning and "it is not corrected for the sky" in warning


def test_a_night_without_enough_sky_tells_nothing(tmp_path):
    result = measured(tmp_path / "20211017", LIGHT, seed=1, exposures=2, level=0.1)
    assert OWN_SKY not in result.figures
    assert result.figures == {"exposures": 0, "of": 2, "spaxels": 0}
    assert np.isnan(read_table(tmp_path / "20211017" / "sky-flat.fits")["VALUE"]).all()


def test_the_place_of_the_target_is_not_asked_even_if_nothing_is_seen_there(tmp_path):
    measured(tmp_path / "20211017", LIGHT, seed=1, cards=PLACE)
    table = read_table(tmp_path / "20211017" / "sky-flat.fits")
    near = np.hypot(table["X"] - 1.0, table["Y"] + 2.0) < 3.6
    assert np.isnan(table["VALUE"][near]).all()
    assert np.isfinite(table["VALUE"][~near]).mean() > 0.9


def test_a_place_that_nobody_knows_is_anywhere():
    header = fits.Header([(key, value) for key, (value, _) in PLACE.items()])
    assert expected_at(header) == ((1.0, -2.0), 3.7)
    for change in ({"PLACESRC": ""}, {"PLACEERR": 4.0}, {"ABPAIR": True}):
        assert expected_at(_with(header, change)) == (None, 0.0)


def _with(header, change):
    changed = header.copy()
    changed.update(change)
    return changed
