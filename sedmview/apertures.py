"""Changes of an elliptical aperture, each within limits, and where it can be gripped. No window here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from sedmd.reduce.numeric.containers import FloatArray
from sedmd.reduce.target.aperture import Ellipse

#: Limits of the semi-major axis [arcsec] and of the axis ratio.
MIN_RADIUS, MAX_RADIUS, MIN_RATIO = 0.4, 10.0, 0.1
#: The kpy windows began with this radius [arcsec].
START_RADIUS = 2.0


class Grip(StrEnum):
    """What of an aperture the pointer holds: all of it, the end of the major axis, or that of the minor one."""

    MOVE = "move"
    MAJOR = "major"
    MINOR = "minor"


def placed(ellipse: Ellipse, x: float, y: float) -> Ellipse:
    """The aperture at another place."""
    return replace(ellipse, x_arcsec=round(x, 3), y_arcsec=round(y, 3))


def resized(ellipse: Ellipse, step: float) -> Ellipse:
    """Larger or smaller by a step of the semi-major axis, arcsec."""
    return replace(ellipse, semi_major_arcsec=_within(ellipse.semi_major_arcsec + step, MIN_RADIUS, MAX_RADIUS))


def reshaped(ellipse: Ellipse, step: float) -> Ellipse:
    """Rounder or flatter by a step of the axis ratio."""
    return replace(ellipse, axis_ratio=_within(ellipse.axis_ratio + step, MIN_RATIO, 1.0))


def turned(ellipse: Ellipse, step: float) -> Ellipse:
    """The major axis turned by degrees, N through E: counter-clockwise on a chart with East to the left."""
    return replace(ellipse, angle_deg=round(ellipse.angle_deg + step, 3) % 180.0)


def like(ellipse: Ellipse, place: Ellipse) -> Ellipse:
    """The shape of one aperture at the place of another."""
    return placed(ellipse, place.x_arcsec, place.y_arcsec)


def outline(ellipse: Ellipse, points: int = 73) -> tuple[FloatArray, FloatArray]:
    """The ellipse as a closed curve, East and North, that begins at the end of the major axis."""
    return _at_phase(ellipse, np.linspace(0, 2 * np.pi, points))


def ends(ellipse: Ellipse) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where it can be gripped: an end of the major and an end of the minor axis."""
    x, y = _at_phase(ellipse, np.array([0.0, np.pi / 2]))
    return (float(x[0]), float(y[0])), (float(x[1]), float(y[1]))


@dataclass(frozen=True, slots=True)
class Hold:
    """A grip on an aperture: what is held, the aperture at that time, and where the pointer was."""

    grip: Grip
    start: Ellipse
    x: float
    y: float

    def dragged(self, x: float, y: float) -> Ellipse:
        """The aperture with the pointer elsewhere."""
        start = self.start
        if self.grip is Grip.MOVE:
            return placed(start, start.x_arcsec + x - self.x, start.y_arcsec + y - self.y)
        dx, dy = x - start.x_arcsec, y - start.y_arcsec
        if self.grip is Grip.MAJOR:
            size = _within(float(np.hypot(dx, dy)), MIN_RADIUS, MAX_RADIUS)
            angle = round(float(np.degrees(np.arctan2(dx, dy))), 1) % 180.0
            return replace(start, semi_major_arcsec=size, angle_deg=angle)
        angle_rad = np.deg2rad(start.angle_deg)
        across = abs(dx * np.cos(angle_rad) - dy * np.sin(angle_rad))
        return replace(start, axis_ratio=_within(float(across) / start.semi_major_arcsec, MIN_RATIO, 1.0))


def grip_at(ellipse: Ellipse, x: float, y: float, reach_arcsec: float) -> Hold | None:
    """What of an aperture lies under the pointer: a handle within reach, else its inside; None for nothing."""
    gaps = {
        grip: float(np.hypot(x - ex, y - ey))
        for grip, (ex, ey) in zip((Grip.MAJOR, Grip.MINOR), ends(ellipse), strict=True)
    }
    nearest = min(gaps, key=lambda grip: gaps[grip])
    if gaps[nearest] <= reach_arcsec:
        return Hold(nearest, ellipse, x, y)
    inside = ellipse.radius2(np.array(x - ellipse.x_arcsec), np.array(y - ellipse.y_arcsec)) < 1
    return Hold(Grip.MOVE, ellipse, x, y) if inside else None


def _at_phase(ellipse: Ellipse, phase: FloatArray) -> tuple[FloatArray, FloatArray]:
    along = ellipse.semi_major_arcsec * np.cos(phase)
    across = ellipse.semi_major_arcsec * ellipse.axis_ratio * np.sin(phase)
    angle = np.deg2rad(ellipse.angle_deg)
    x = ellipse.x_arcsec + along * np.sin(angle) + across * np.cos(angle)
    y = ellipse.y_arcsec + along * np.cos(angle) - across * np.sin(angle)
    return x, y


def _within(value: float, low: float, high: float) -> float:
    return round(min(max(value, low), high), 3)
