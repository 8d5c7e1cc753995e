"""Blue ends on the rows of another spectrum's red end are cut back, those beside it are not."""

from dataclasses import replace

import numpy as np
import pytest

from sedmd.reduce.traces.frame import separate_traces
from sedmd.reduce.traces.profile import gaussian_profile
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.shared_rows import BLUEST_NEEDED, blue_ends_apart
from sedmd.reduce.wavelength.solution import with_windows
from unit.reduce_scenes import draw, expose, prism_solution

SHAPE, WINDOW = (64, 640), (3550.0, 10700.0)
#: Where the reference wavelength of four spectra falls; the blue end of each lies at its low columns.
REFERENCE = np.array([150.0, 150.0, 150.0, 150.0])


def spectra(rows, x_ref):
    """Traces through these rows with the windows that the prism gives, and their solution."""
    solution = prism_solution(np.asarray(x_ref, float))
    ends = np.sort(solution.column(np.array(WINDOW)), axis=1)
    n = len(rows)
    traces = Traces(
        centre=np.rint(ends.mean(axis=1)),
        y_coeff=np.column_stack([rows, np.zeros(n), np.zeros(n)]),
        x_first=np.floor(ends[:, 0]).astype(int),
        x_last=np.ceil(ends[:, 1]).astype(int),
        width=np.array([1.4, 0.0, 0.0]),
        width_order=0,
        profile=gaussian_profile(),
        rms=np.zeros(n),
    )
    return traces, solution


def pair(distance, overlap):
    """A spectrum, and one whose blue end lies so many columns within its red end, so many rows above."""
    one, solution = spectra([20.0], [200.0])
    blue = float(solution.column(np.array([WINDOW[0]]))[0, 0])
    high = blue > float(solution.column(np.array([WINDOW[1]]))[0, 0])
    red_end = one.x_first[0] if high else one.x_last[0]
    step = (red_end - blue) + (overlap if high else -overlap)
    return spectra([20.0, 20.0 + distance], [200.0, 200.0 + step]), high


@pytest.mark.parametrize("distance", [0.4, -1.2])
def test_a_blue_end_on_the_rows_of_a_red_end_yields(distance):
    (traces, solution), high = pair(distance, 8)
    cut = blue_ends_apart(traces, solution, WINDOW, SHAPE)
    assert (cut.x_first[0], cut.x_last[0]) == (traces.x_first[0], traces.x_last[0]), "the red end keeps its light"
    a, b = cut.select(np.array([0])).samples(SHAPE), cut.select(np.array([1])).samples(SHAPE)
    assert not set(a.x) & set(b.x)
    lost = (traces.x_last[1] - cut.x_last[1]) + (cut.x_first[1] - traces.x_first[1])
    assert 8 <= lost <= 11
    assert (cut.x_last[1] < traces.x_last[1]) == high


def test_spectra_on_rows_of_their_own_stay_whole():
    (traces, solution), _ = pair(4.0, 8)
    cut = blue_ends_apart(traces, solution, WINDOW, SHAPE)
    assert np.array_equal(cut.x_first, traces.x_first) and np.array_equal(cut.x_last, traces.x_last)


def test_no_more_is_cut_than_nobody_needs():
    (traces, solution), _ = pair(0.5, 100)
    cut = blue_ends_apart(traces, solution, WINDOW, SHAPE)
    needed = solution.column(np.array([BLUEST_NEEDED]))[1, 0]
    assert cut.x_first[1] - 2 <= needed <= cut.x_last[1] + 2


def test_a_trace_beside_the_field_yields_as_well_and_takes_no_light():
    (both, solution), _ = pair(0.4, 10)
    one = both.select(np.array([0]))
    traces = replace(one, beside=both.select(np.array([1])))
    samples = one.samples(SHAPE)
    image = expose(draw(samples, np.full(samples.x.size, 5000.0)) + 10.0)
    single = replace(solution, coeff=solution.coeff[:1])
    cut = blue_ends_apart(traces, single, WINDOW, SHAPE)
    assert cut.beside is not None and cut.n == 1
    whole = separate_traces(image, traces, dy_px=0.0).extracted.flux
    assert whole.min() < 4000.0, "the other took light of the end"
    assert separate_traces(image, cut, dy_px=0.0).extracted.flux.min() > 4500.0


@pytest.mark.parametrize(("dome", "more"), [(0, 0), (7, 7), (40, 12), (-30, 0)])
def test_a_trace_goes_on_at_its_red_end_as_far_as_the_dome_shines(dome, more):
    """Beyond the last lamp line the wavelengths are extrapolated, and light behind the end went to others."""
    traces, solution = spectra([20.0], [200.0])
    high = solution.column(np.array([WINDOW[1]]))[0, 0] > solution.column(np.array([WINDOW[0]]))[0, 0]
    seen = replace(traces, x_last=traces.x_last + dome) if high else replace(traces, x_first=traces.x_first - dome)
    found = with_windows(seen, solution.coeff, solution)
    assert ((found.x_last - traces.x_last) if high else (traces.x_first - found.x_first))[0] == pytest.approx(
        more, abs=1
    )
    assert (found.x_first if high else found.x_last)[0] == (traces.x_first if high else traces.x_last)[0]
