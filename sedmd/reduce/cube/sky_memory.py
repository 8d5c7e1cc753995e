"""What a night tells later ones of the dome's light against the sky's, as a text, and how it is laid on their spaxels.

A spaxel is known again by its place: its node of the lattice, and where that looks on the sky. The numbers of the
nodes differ from night to night, as the node nearest to the middle of what was found is (0, 0).
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.cube.sky_pattern import MIN_SPAXELS, NightPattern
from sedmd.reduce.numeric.containers import Spaxels

#: Step of the numbers in a text: a hundredth of a per cent; and the number of what is not known.
STEP, UNKNOWN = 1e-4, 32767
#: Fields whose centre lies on other pixels than these are not compared [pixel]: a place means another lenslet then.
SAME_CENTRE_PX = 0.5
#: So far, in steps of the lattice, may a spaxel lie from the node that it is taken for: more could be its neighbour's.
MOST_OFF = 0.3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToldPattern:
    """A night's pattern on its lattice.

    Attributes
    ----------
    centre : (2,) pixel of the detector that looks at x = y = 0
    origin, step_q, step_r : (2,) arcsec, where the first node of `value` looks, and the steps from node to node
    value, error : (n_q, n_r) as of `NightPattern`; NaN and infinite where there is no spaxel, or it told nothing
    smooth_error, exposures : as of `NightPattern`
    """

    centre: tuple[float, float]
    origin: NDArray[np.floating]
    step_q: NDArray[np.floating]
    step_r: NDArray[np.floating]
    value: NDArray[np.floating]
    error: NDArray[np.floating]
    smooth_error: float
    exposures: int

    @classmethod
    def on(cls, pattern: NightPattern, spaxels: Spaxels, centre: tuple[float, float]) -> Self:
        """The pattern on the lattice of its spaxels, whose field centre is at that pixel."""
        q, r = spaxels.q - spaxels.q.min(), spaxels.r - spaxels.r.min()
        design = np.stack([np.ones(q.size), q, r], axis=1)
        places = np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1)
        origin, step_q, step_r = np.linalg.lstsq(design, places, rcond=None)[0]
        value, error = np.full((q.max() + 1, r.max() + 1), np.nan), np.full((q.max() + 1, r.max() + 1), np.inf)
        value[q, r], error[q, r] = pattern.value, pattern.error
        return cls(
            centre=centre,
            origin=origin,
            step_q=step_q,
            step_r=step_r,
            value=value,
            error=error,
            smooth_error=pattern.smooth_error,
            exposures=pattern.exposures,
        )

    def on_spaxels(self, spaxels: Spaxels, centre: tuple[float, float]) -> NightPattern | None:
        """The pattern of the same lenslets among these spaxels; None if they are not of the same lattice."""
        if max(abs(a - b) for a, b in zip(centre, self.centre, strict=True)) > SAME_CENTRE_PX:
            return None
        places = np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1)
        node = (places - self.origin) @ np.linalg.inv(np.stack([self.step_q, self.step_r]))
        q, r = np.rint(node).astype(int).T
        off = np.abs(node - np.rint(node)).max(axis=1)
        inside = (off < MOST_OFF) & (q >= 0) & (r >= 0) & (q < self.value.shape[0]) & (r < self.value.shape[1])
        value, error = np.full(q.size, np.nan), np.full(q.size, np.inf)
        value[inside], error[inside] = self.value[q[inside], r[inside]], self.error[q[inside], r[inside]]
        # another pitch or angle agrees somewhere, and not over the field
        if np.mean(off < MOST_OFF) < 0.9 or np.isfinite(value).sum() < MIN_SPAXELS:
            return None
        return NightPattern(value=value, error=error, smooth_error=self.smooth_error, exposures=self.exposures)

    def __str__(self) -> str:
        """Numbers of the lattice, then the values in steps of `STEP`, 16 bits each, compressed; no blank, no ``;``."""
        numbers = [*self.centre, *self.origin, *self.step_q, *self.step_r, self.smooth_error]
        packed = np.stack([_packed(self.value - 1.0), _packed(self.error)]).astype("<i2").tobytes()
        head = [*(f"{one:.6g}" for one in numbers), str(self.exposures), *map(str, self.value.shape)]
        return ":".join([*head, base64.b64encode(zlib.compress(packed, 9)).decode("ascii")])

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `str` gives; ValueError if it is none."""
        try:
            *head, packed = text.split(":")
            numbers, (exposures, n_q, n_r) = [float(one) for one in head[:9]], [int(one) for one in head[9:]]
            data = np.frombuffer(zlib.decompress(base64.b64decode(packed, validate=True)), "<i2")
            value, error = data.reshape(2, n_q, n_r)
        except (ValueError, zlib.error) as fault:
            msg = f"{text[:40]!r} tells nothing of the sky's light; expected nine numbers, three counts and the spaxels"
            raise ValueError(msg) from fault
        return cls(
            centre=(numbers[0], numbers[1]),
            origin=np.array(numbers[2:4]),
            step_q=np.array(numbers[4:6]),
            step_r=np.array(numbers[6:8]),
            value=np.where(value == UNKNOWN, np.nan, 1.0 + STEP * value),
            error=np.where(error == UNKNOWN, np.inf, STEP * error),
            smooth_error=numbers[8],
            exposures=exposures,
        )


def _packed(values: NDArray[np.floating]) -> NDArray[np.integer]:
    """In steps of `STEP`; `UNKNOWN` for what is not finite."""
    finite = np.isfinite(values)
    return np.where(finite, np.clip(np.rint(np.where(finite, values, 0.0) / STEP), 1 - UNKNOWN, UNKNOWN - 1), UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlierPattern:
    """What an earlier night told, so many nights old."""

    night: str
    age_nights: int
    told: ToldPattern


def patterns_in(text: str) -> tuple[EarlierPattern, ...]:
    """Read ``NIGHT AGE TEXT; NIGHT AGE TEXT``."""
    found = []
    for part in filter(None, text.split("; ")):
        night, age, told = part.split(" ")
        found.append(EarlierPattern(night=night, age_nights=int(age), told=ToldPattern.of(told)))
    return tuple(found)
