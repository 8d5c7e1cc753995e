"""A published wavelength scale, bent to the lines of an earlier night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.polynomial import Legendre, Polynomial

from sedmd.core.instrument import DispersionGuess
from sedmd.reduce.wavelength.dispersion import CURVE_RANGE
from sedmd.reduce.wavelength.law import Law, ToldCurve, least_strained, told_curve
from sedmd.reduce.wavelength.scale import Scale, bent_scale, make_scale


def bent_to(law: Law, guesses: Sequence[DispersionGuess]) -> tuple[Scale, ToldCurve] | None:
    """The prism coordinate of the instrument by an earlier night's lines.

    Parameters
    ----------
    law : Law
    guesses : published curves; the one that has to be bent least is taken

    Returns
    -------
    scale : the curve as it is bent
    told : ToldCurve, what is known of its bends

    None where there is no curve, or where no monotonic one goes through the lines.
    """
    if not guesses:
        return None
    published = [make_scale(guess.wavelength, guess.column) for guess in guesses]
    told = [told_curve(law, scale.to_xi) for scale in published]
    best = least_strained(told)
    ends = np.sort(published[best].to_xi(np.array(CURVE_RANGE)))
    series = Legendre(told[best].curve.terms, domain=[float(ends[0]), float(ends[1])])
    powers = np.asarray(series.convert(kind=Polynomial).coef, float)
    scale = bent_scale(published[best], powers)
    return None if scale is published[best] else (scale, replace(told[best], zero=float(powers[0])))
