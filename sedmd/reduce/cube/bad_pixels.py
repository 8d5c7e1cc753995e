"""Bad pixels over nights: what one night found of them, as a text, and a map of tonight's and the earlier ones.

A night's dome does not tell of every pixel: where it is faint, a pixel may be bad and nobody sees it. Bad pixels stay
bad for months, so the nights before are asked. Each night tells what its own dome showed and nothing of what it was
given, so that no mistake is handed on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

#: Share of the light by which a pixel must be off. Good pixels of the CCD differ by a per cent (rms); a third of a
#: sample's light falls into its middle pixel, so that what is missed biases it by less than 5 %.
ODD_SHARE = 0.15
#: Standard errors by which it must be off besides: one of four million, of which none should be taken by chance; and
#: one of the hundred or thousand that an earlier night found, of which chance takes one in 370.
ODD_SIGMA, SEEN_SIGMA = 6.0, 3.0
#: Standard errors by which a pixel must be nearer to the light than a bad one, to be well again: of those that are as
#: bad as pixels just have to be, 2 % are lost for a night; of those with half of their light none.
WELL_SIGMA = 2.0
#: More stretches of columns than these are no pixels: the model of the light was wrong. Such a night tells nothing.
MOST_STRETCHES = 2000

_STRETCH = re.compile(r"(\d+):(\d+)(?:-(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How the pixels of a night's dome answer to its light.

    Attributes
    ----------
    off : (n_y, n_x) share of the expected light that is missing or too much
    error : (n_y, n_x) 1 sigma of it; infinite where it is not known
    """

    off: NDArray[np.floating]
    error: NDArray[np.floating]

    def bad(self, sigma: float) -> NDArray[np.bool_]:
        """(n_y, n_x): off by the least share and by so many errors."""
        return np.asarray((self.off > ODD_SHARE) & (self.off > sigma * self.error))

    def well(self) -> NDArray[np.bool_]:
        """(n_y, n_x): not off by the least share, by `WELL_SIGMA` errors."""
        return np.asarray(self.off + WELL_SIGMA * self.error < ODD_SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a night's own dome told of pixels.

    Attributes
    ----------
    bad : (n_y, n_x) bool, those that do not follow the light
    well : (n_y, n_x) bool, those that an earlier night called bad and that do
    """

    bad: NDArray[np.bool_]
    well: NDArray[np.bool_]

    def __str__(self) -> str:
        """``X:Y X:Y-Y/X:Y``: bad pixels by column and rows, counted from 0; after the stroke those found well."""
        return f"{_text(self.bad)}/{_text(self.well)}"

    @classmethod
    def of(cls, text: str, shape: tuple[int, int]) -> Self:
        """Read what `str` gives, for a camera of that shape (n_y, n_x).

        Raises
        ------
        ValueError
            If it is none.
        """
        bad, stroke, well = text.partition("/")
        if not stroke:
            msg = f"{text[:40]!r} is no list of pixels; expected X:Y or X:Y-Y, and a stroke"
            raise ValueError(msg)
        return cls(bad=_pixels(bad, shape), well=_pixels(well, shape))

    @property
    def tells(self) -> bool:
        """Whether other nights should hear of it."""
        return len(_stretches(self.bad)) <= MOST_STRETCHES


@dataclass(frozen=True, slots=True, kw_only=True)
class BadPixels:
    """The bad pixels of a night.

    Attributes
    ----------
    map : (n_y, n_x) bool
    findings : what tonight's dome alone told
    known : of the map, so many were bad by the earlier nights
    unseen : of those, so many that tonight tells nothing of
    new : of the map, so many were not known
    healed : so many that were known are well tonight
    """

    map: NDArray[np.bool_]
    findings: Findings
    known: int
    unseen: int
    new: int
    healed: int


def findings_in(text: str, shape: tuple[int, int]) -> tuple[Findings, ...]:
    """Findings of earlier nights, the newest first, from ``NIGHT AGE FINDINGS; NIGHT AGE FINDINGS``; none if empty."""
    return tuple(Findings.of(part.split(" ", 2)[2], shape) for part in filter(None, text.split("; ")))


def bad_pixels(tonight: Answers, earlier: Sequence[Findings]) -> BadPixels:
    """A map of the pixels that are bad tonight.

    Parameters
    ----------
    tonight : Answers
    earlier : of earlier nights with the same camera, the newest first

    Notes
    -----
    A pixel is bad if tonight says so: by six errors, or by three if one of the earlier nights found it. Where tonight
    tells nothing, it is what the last night that could tell of it said: since a night looks at each pixel that it was
    given, its silence is ignorance, and every word is sure enough to outweigh those before it, which would
    otherwise hold on to a pixel that is well. As no night repeats what it was given, a pixel of which nobody could tell
    any more is forgotten when the night that found it is too many nights ago.
    """
    before, ever = np.zeros(tonight.off.shape, bool), np.zeros(tonight.off.shape, bool)
    for one in reversed(earlier):
        before = (before | one.bad) & ~one.well
        ever |= one.bad
    seen = tonight.bad(ODD_SIGMA) | (ever & tonight.bad(SEEN_SIGMA))
    well = ever & tonight.well()
    unseen = before & ~seen & ~well
    found = seen | unseen
    return BadPixels(
        map=found,
        findings=Findings(bad=seen, well=well),
        known=int((found & before).sum()),
        unseen=int(unseen.sum()),
        new=int((found & ~before).sum()),
        healed=int((before & well).sum()),
    )


def _stretches(pixels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pixels side by side in a column: (n, 3) column, first and last row."""
    edges = np.diff(np.pad(pixels.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    column, first = np.nonzero(edges == 1)
    _, after = np.nonzero(edges == -1)
    return np.column_stack([column, first, after - 1])


def _text(pixels: NDArray[np.bool_]) -> str:
    return " ".join(f"{x}:{low}" if low == high else f"{x}:{low}-{high}" for x, low, high in _stretches(pixels))


def _pixels(text: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a text; those outside of `shape` are of another camera and neglected."""
    found = np.zeros(shape, bool)
    for part in text.split():
        match = _STRETCH.fullmatch(part)
        if match is None:
            msg = f"{part[:40]!r} is no stretch of pixels; expected X:Y or X:Y-Y"
            raise ValueError(msg)
        x, low = int(match[1]), int(match[2])
        if x < shape[1]:
            found[low : int(match[3] or low) + 1, x] = True
    return found
