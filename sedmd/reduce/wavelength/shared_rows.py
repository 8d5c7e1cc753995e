"""Spectra that lie end to end: where the blue end of one runs on the rows of another's red end.

Of two traces on the same rows a fit can only give each a share of the light. There the blue end has none that could be
told from the other's, which is a hundred times brighter; and its samples take half of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.traces.samples import Samples
from sedmd.reduce.traces.traces import Traces, joined
from sedmd.reduce.wavelength.wavelength import WavelengthSolution

#: Rows between the middles of two traces within which their light cannot be told apart: half of the width of an image.
SAME_ROWS_PX = 1.5
#: An end is cut back at most to this wavelength [Angstrom]: redder light is worth a doubtful share.
BLUEST_NEEDED = 3900.0


def blue_ends_apart(
    traces: Traces, solution: WavelengthSolution, window: tuple[float, float], shape: tuple[int, int]
) -> Traces:
    """The traces, and those beside them, with their blue ends cut back to where no other trace is on their rows.

    Parameters
    ----------
    traces, solution : of all spaxels
    window : wavelengths between which a trace is extracted [Angstrom]
    shape : (n_y, n_x) of the detector

    Returns
    -------
    Traces
    """
    ends = solution.column(np.array([window[0], BLUEST_NEEDED]))
    reach = float(np.nanmedian(np.abs(ends[:, 1] - ends[:, 0])))
    n, both = traces.n, joined(traces, traces.beside)
    samples = both.samples(shape)
    high = bool(np.nanmedian(ends[:, 1] - ends[:, 0]) < 0)
    from_blue = (both.x_last[samples.trace] - samples.x) if high else (samples.x - both.x_first[samples.trace])
    at_end = from_blue <= reach
    shared = at_end & _others_near(samples, ~at_end)
    first, last = both.x_first.copy(), both.x_last.copy()
    if high:
        np.minimum.at(last, samples.trace[shared], samples.x[shared] - 1)
    else:
        np.maximum.at(first, samples.trace[shared], samples.x[shared] + 1)
    cut = replace(both, x_first=first, x_last=last)
    own = np.arange(both.n) < n
    return replace(cut.select(own), beside=None if own.all() else cut.select(~own))


def _others_near(samples: Samples, counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Samples that have one of those that count, of another trace, on their rows in the same column."""
    found = np.zeros(samples.x.size, bool)
    # sorted by column, then row: whoever is near is next in the order, or next but one
    for step in (1, 2):
        near = (samples.x[step:] == samples.x[:-step]) & (samples.y[step:] - samples.y[:-step] < SAME_ROWS_PX)
        _note(found, near & counts[step:], slice(None, -step))
        _note(found, near & counts[:-step], slice(step, None))
    return found


def _note(found: NDArray[Any], near: NDArray[np.bool_], where: slice) -> None:
    found[where] |= near
