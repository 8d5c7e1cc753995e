"""Pixels that answer to the dome otherwise than those beside them: dead, hot, behind a trap, under dust."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.cube.bad_pixels import Answers
from sedmd.reduce.cube.cube import to_matrices
from sedmd.reduce.loops.median import medians_of_9_along_rows
from sedmd.reduce.numeric.containers import Image
from sedmd.reduce.traces.extract import columns_first, model_image
from sedmd.reduce.traces.frame import Separated
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.samples import Samples

#: Least light of a pixel that is judged [electron].
LEAST_LIGHT = 100.0
#: Columns at each end of a trace that are not judged: there the light ends. And the share of a trace's usual light
#: below which it does.
ENDS, DIM = 4, 0.15
#: What all pixels around one may have of the model: beyond, the model is wrong there and nothing is told of the pixel.
MODEL_HOLDS = (0.5, 2.0)


def answers(dome: Image, separated: Separated, profile: Profile, n_frames: int, lit: Samples | None = None) -> Answers:
    """How far the pixels of a dome frame are off its light.

    Parameters
    ----------
    dome : Image, electron, mean of `n_frames` exposures
    separated : the same frame as sum of traces and light between them
    profile : of the traces
    n_frames : exposures that were averaged
    lit : all places that light of the traces may fall on, those beyond their ends too; None: the samples alone

    Returns
    -------
    Answers; their error is infinite where there is too little light to tell, or the model of the light is wrong

    Notes
    -----
    Along the dispersion the dome is smooth. So each trace's flux is replaced by the running median of nine samples: a
    column that is dead behind a trap lowers the flux itself, and would fit its own model. A pixel is held against this
    model times what the nine pixels about it along the dispersion have of it, as a profile that is not quite right is
    wrong for all of them. Where a trace ends its light need not: what its last light would reach there is not judged.
    """
    smooth, sure = _smooth_flux(separated)
    samples = separated.samples
    model = columns_first(model_image(samples, profile, smooth)) + separated.background
    doubtful = columns_first(model_image(samples, profile, np.where(sure, 0.0, smooth)))
    if lit is not None:
        beyond, ends = _beyond(samples, smooth, lit)
        doubtful += columns_first(model_image(beyond, profile, ends))
    judged = (dome.mask == 0) & np.isfinite(dome.data) & (model > LEAST_LIGHT) & (np.abs(doubtful) < 0.1 * model)
    light = np.where(model > 1.0, model, np.float32(1.0))
    share = np.where(np.isfinite(dome.data) & (model > 1.0), dome.data / light, 1.0).astype(np.float32)
    usual = np.empty_like(share)
    medians_of_9_along_rows(np.pad(share, ((0, 0), (4, 4)), mode="symmetric"), usual)
    expected = light * usual
    # By the expected light: a dead pixel's own promises too little noise.
    noise = np.sqrt(np.maximum(expected, 0.0) / n_frames + dome.read_noise**2)
    judged &= (usual > MODEL_HOLDS[0]) & (usual < MODEL_HOLDS[1])
    safe = np.where(judged, expected, np.float32(1.0))
    return Answers(
        off=np.where(judged, np.abs(dome.data - expected) / safe, 0.0).astype(np.float32),
        error=np.where(judged, noise / safe, np.inf).astype(np.float32),
    )


def _smooth_flux(separated: Separated) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Running median of the flux of each sample along its trace, and where it tells the light: both (n_samples,)."""
    samples, flux = separated.samples, separated.extracted.flux
    known = np.isfinite(flux)
    n_trace = int(samples.trace.max(initial=-1)) + 1
    first, (rows, has) = to_matrices(samples, n_trace, np.where(known, flux, 0.0).astype(np.float32), known)
    # gaps and what lies behind the end of a trace hold its last value
    before = np.maximum.accumulate(np.where(has, np.arange(rows.shape[1]), 0), axis=1)
    rows = np.take_along_axis(rows, before, axis=1)
    smooth = np.empty_like(rows)
    medians_of_9_along_rows(np.ascontiguousarray(np.pad(rows, ((0, 0), (4, 4)), mode="symmetric")), smooth)
    column = np.arange(rows.shape[1])
    last = before[:, -1] if rows.shape[1] else np.zeros(n_trace, int)
    sure = (column >= ENDS) & (column <= last[:, None] - ENDS) & (smooth > DIM * np.median(rows, axis=1)[:, None])
    own = samples.trace, samples.x - first[samples.trace]
    return smooth[own].astype(float), sure[own]


def _beyond(samples: Samples, flux: NDArray[np.floating], lit: Samples) -> tuple[Samples, NDArray[np.floating]]:
    """Those places of `lit` that lie beyond the ends of the traces, and the flux that each has at the end."""
    trace, first = np.unique(samples.trace, return_index=True)  # sorted by column: the first of a trace is its lowest
    last = samples.trace.size - 1 - np.unique(samples.trace[::-1], return_index=True)[1]
    place = np.clip(np.searchsorted(trace, lit.trace), 0, max(trace.size - 1, 0))
    own = trace[place] == lit.trace if trace.size else np.zeros(lit.trace.size, bool)
    before, after = own & (lit.x < samples.x[first[place]]), own & (lit.x > samples.x[last[place]])
    ends = np.where(before, flux[first[place]], flux[last[place]])
    return lit.select(before | after), ends[before | after]
