"""Spectra that lie end to end: where the blue end of one runs on the rows of another's red end.

Of two traces on the same rows a fit can only give each a share of the light. There the blue end has none that could be
told from the other's, which is a hundred times brighter; and its samples take half of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

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
    # of another trace, as a trace has one sample in a column
    shared = at_end & ~samples.apart_from(samples.select(~at_end), SAME_ROWS_PX)
    first, last = both.x_first.copy(), both.x_last.copy()
    if high:
        np.minimum.at(last, samples.trace[shared], samples.x[shared] - 1)
    else:
        np.maximum.at(first, samples.trace[shared], samples.x[shared] + 1)
    cut = replace(both, x_first=first, x_last=last)
    own = np.arange(both.n) < n
    return replace(cut.select(own), beside=None if own.all() else cut.select(~own))
