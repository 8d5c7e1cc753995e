"""Spectra mostly off the chip: those that shine are drawn where they run, and nothing is drawn where no light is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from sedmd.products.solution import TraceSet, read_traces, write_traces
from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.traces.frame import separate
from sedmd.reduce.traces.halo import Halo
from sedmd.reduce.traces.profile import gaussian_profile
from sedmd.reduce.traces.traces import Traces, joined, refine_traces
from sedmd.reduce.wavelength.geometry import find_lattice
from sedmd.reduce.wavelength.half_lost import _drawn, _shines, with_half_lost
from sedmd.reduce.wavelength.wavelength import LineGroup
from unit.reduce_scenes import draw, expose, lattice_scene, prism_column, prism_solution

SHAPE = (384, 768)
REFERENCE, HALF = 5460.0, 90
#: Wavelengths that fall `HALF` columns to either side of the reference.
WINDOW = (
    brentq(lambda w: prism_column(w) - HALF, 3500, 5460),
    brentq(lambda w: prism_column(w) + HALF, 5460, 10000),
)
LIGHT, SCATTERED = 4000.0, 60.0


@pytest.fixture(scope="module")
def scene():
    return lattice_scene(SHAPE, length=2 * HALF)


def as_traces(scene, keep):
    return Traces(
        centre=scene.centre[keep].astype(float),
        y_coeff=scene.y_coeff[keep],
        x_first=scene.x_first[keep],
        x_last=scene.x_last[keep],
        width=np.array([scene.sigma, 0.0, 0.0]),
        width_order=0,
        profile=gaussian_profile(),
        rms=np.zeros(len(keep)),
    )


def split(scene):
    """Spaxels that are found, and those of which only an end is on the chip."""
    count = scene.columns_on_chip()
    return np.flatnonzero(count > HALF), np.flatnonzero((count >= 10) & (count <= HALF))


def looked_for(scene, image):
    found, _ = split(scene)
    traces = as_traces(scene, found)
    x, y = scene.centre[found].astype(float), scene.y_coeff[found, 0]
    lattice = find_lattice(x, y)
    assert lattice.on_lattice.all()
    node = np.column_stack([lattice.q, lattice.r])
    return with_half_lost(traces, prism_solution(x), node, x, y, image, REFERENCE, WINDOW)


def rows(traces, number, x):
    u = (x - traces.centre[number]) / 100.0
    return traces.y_coeff[number] @ np.array([np.ones_like(u), u, u**2])


def dome(scene, dark=()):
    samples = as_traces(scene, np.arange(scene.n)).samples(SHAPE)
    flux = np.where(np.isin(samples.trace, dark), 0.0, LIGHT)
    return expose(draw(samples, flux) + SCATTERED)


def partners(scene, beside):
    """Which true spectrum each of the traces beside runs along, within a row."""
    _, lost = split(scene)
    everyone = as_traces(scene, np.arange(scene.n))
    answer = []
    for number in range(beside.n):
        x = np.arange(max(beside.x_first[number], 0), min(beside.x_last[number], SHAPE[1] - 1) + 1)
        off = np.array([np.abs(rows(beside, number, x) - rows(everyone, k, x)).max() for k in range(scene.n)])
        off[(scene.x_last < x.mean()) | (scene.x_first > x.mean())] = np.inf
        answer.append(int(np.argmin(off)) if off.min() < 1.0 else -1)
    return np.array(answer), lost


@pytest.mark.parametrize("off", [0.0, 40.0, -65.0])
def test_a_trace_beside_has_the_curve_of_the_others_wherever_theirs_are_told_from(scene, off):
    """All have one slope and one bend at the reference wavelength; their polynomials are about `off` from it."""
    slope, bend = 1.5, -2.0
    found, _ = split(scene)
    x_ref, y_ref = scene.centre[found].astype(float), scene.y_coeff[found, 0]
    u = off / 100.0
    curve = np.column_stack([y_ref + slope * u + bend * u**2, np.tile([slope + 2 * bend * u, bend], (len(found), 1))])
    traces = replace(as_traces(scene, found), centre=x_ref + off, y_coeff=curve)
    x, y = np.array([-30.0, 780.0]), np.array([100.0, 200.0])
    ends = np.array([[-120.0, 60.4], [870.0, 690.6]])
    made = _drawn(traces, x_ref, y_ref, x, y, ends, SHAPE)
    assert np.array_equal(made.x_first, [0, 690]) and np.array_equal(made.x_last, [61, 767])
    for number in range(2):
        column = np.arange(made.x_first[number], made.x_last[number] + 1)
        along = (column - x[number]) / 100.0
        assert rows(made, number, column) == pytest.approx(y[number] + slope * along + bend * along**2, abs=1e-3)


def test_those_that_shine_are_found_and_nothing_else(scene):
    beside = looked_for(scene, dome(scene)).beside
    which, lost = partners(scene, beside)
    assert np.all(which >= 0) and len(set(which)) == len(which)
    assert set(lost) <= set(which), "each of which ten columns are on the chip"
    assert not set(which) & set(split(scene)[0])


def test_a_place_without_light_gets_no_trace(scene):
    _, lost = split(scene)
    dark = lost[::3]
    which, _ = partners(scene, looked_for(scene, dome(scene, dark)).beside)
    assert not set(which) & set(dark)
    assert set(lost) - set(dark) <= set(which)


def test_nothing_is_added_where_no_spectrum_is_lost(scene):
    _, lost = split(scene)
    count = scene.columns_on_chip()
    dark = np.flatnonzero(count <= HALF)
    assert len(lost) and looked_for(scene, dome(scene, dark)).beside is None


def test_a_node_on_the_rows_of_a_spectrum_takes_none_of_its_light(scene):
    """Beyond the rim of the array one was drawn onto the end of a real spectrum; a fit gave each half of its light."""
    found, _ = split(scene)
    traces = as_traces(scene, found)
    real = int(np.argmin(np.abs(traces.x_last - (SHAPE[1] - 120))))
    begin = int(traces.x_last[real]) - 40
    last = min(begin + 2 * HALF, SHAPE[1] - 1)
    centre = float((begin + last) // 2)
    u = (centre - traces.centre[real]) / 100.0
    row, slope, bend = traces.y_coeff[real]
    curve = np.array([[row + slope * u + bend * u**2 + 0.3, slope + 2 * bend * u, bend]])
    phantom = replace(
        traces.select(np.array([real])),
        centre=np.array([centre]),
        y_coeff=curve,
        x_first=np.array([begin]),
        x_last=np.array([last]),
    )
    samples = as_traces(scene, found).samples(SHAPE)
    image = expose(draw(samples, np.full(samples.x.size, LIGHT)) + SCATTERED)
    assert not _shines(joined(traces, phantom), traces.n, image).any()
    # where it is alone and has light of its own, it shines
    own = replace(phantom, x_first=np.array([begin + 45]))
    light = joined(as_traces(scene, found), own).samples(SHAPE)
    assert _shines(joined(traces, own), traces.n, expose(draw(light, np.full(light.x.size, LIGHT)) + SCATTERED)).all()


def scattered_at_the_edge(traces, image):
    refined, _ = refine_traces(traces, [(image.data, image.read_noise)], rounds=2, width_order=0)
    separated = separate(image, refined.samples(SHAPE), refined.profile, dy_px=0.0, rounds=2)
    assert separated.samples.trace.min() >= 0, "those beside have no number"
    return float(np.median(separated.background[:, :24]))


def test_their_light_is_not_taken_for_scattered_light(scene):
    image = dome(scene)
    traces = looked_for(scene, image)
    assert scattered_at_the_edge(traces, image) == pytest.approx(SCATTERED, rel=0.15)
    assert scattered_at_the_edge(replace(traces, beside=None), image) > 1.5 * SCATTERED


def test_traces_beside_come_back_from_the_file(scene, tmp_path):
    found, _ = split(scene)
    traces = looked_for(scene, dome(scene))
    number = np.arange(traces.n, dtype=np.int32)
    spaxels = Spaxels(ident=number + 1, q=number, r=number, x_arcsec=number * 0.1, y_arcsec=number * 0.1)
    start = replace(prism_solution(scene.centre[found].astype(float)), groups=(LineGroup("Hg", 5460.7, 0.0, 0.01),))
    halo = Halo(scale=np.array([24.0, 96.0]), share=np.array([0.01, 0.02]), even=0.003)
    own = np.linspace(0.98, 1.02, traces.n)
    beside = replace(traces.beside, own_width=np.full(traces.beside.n, 1.01))
    for one in (replace(traces, own_width=own, beside=beside), replace(traces, beside=None, halo=halo)):
        whole = TraceSet(traces=one, spaxels=spaxels, complete=np.ones(one.n, bool), start=start)
        write_traces(tmp_path / "traces.fits", whole, cards={})
        again = read_traces(tmp_path / "traces.fits").traces
        before, after = one.samples(SHAPE), again.samples(SHAPE)
        if one.halo is not None:
            assert again.halo.even == 0.003
            assert np.array_equal([again.halo.scale, again.halo.share], [halo.scale, halo.share])
        assert (again.halo is None) == (one.halo is None)
        for name in ("trace", "x", "y", "sigma"):
            assert np.array_equal(getattr(before, name), getattr(after, name))
