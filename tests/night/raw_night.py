"""Raw nights for tests: the real file format on a small detector, a few milliseconds each."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits

SHAPE = (64, 64)
NIGHT = "20190612"
AFTERNOON = datetime(2019, 6, 11, 23, 0, 0, tzinfo=UTC)
EVENING = datetime(2019, 6, 12, 4, 0, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Raw:
    """A raw file to be: its place below the raw root and its bytes."""

    place: str
    content: bytes

    def __repr__(self) -> str:
        return f"Raw({self.place})"  # a failure shows which frame, not 30 kB of it

    def write(self, root: Path) -> Path:
        path = root / self.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return path


def cards(start: datetime, label: str, **changes: object) -> dict[str, object]:
    """Header of a frame; a change to None removes the card."""
    header: dict[str, object] = {
        "EXPTIME": 900.0,
        "ADCSPEED": 0.1,
        "JD": start.timestamp() / 86400 + 2440587.5,
        "AIRMASS": 1.2,
        "DOMEST": "OPEN",
        "LAMPCUR": 0.0,
        "OBJECT": label,
        "ABPAIR": True if label.endswith(("[A]", "[B]")) else None,
        "NAME": label.split(" [")[0],
        "UTC": start.strftime("%Y:%j:%H:%M:%S.0"),
        "GAIN": 1.8,
    } | changes
    return {key: value for key, value in header.items() if value is not None}


def frame_bytes(header: Mapping[str, object], *, seed: int, shape: tuple[int, int] = SHAPE) -> bytes:
    """A whole raw file: unsigned 16-bit noise that differs from seed to seed."""
    data = np.random.default_rng(seed).normal(1000, 20, shape).astype(np.uint16)
    hdu = fits.PrimaryHDU(data)
    for key, value in header.items():
        hdu.header[key] = value
    return hdu.header.tostring().encode("latin-1") + _big_endian(data)


def raw(start: datetime, label: str, *, seed: int | None = None, **changes: object) -> Raw:
    """One raw frame under its real name."""
    name = start.strftime("ifu%Y%m%d_%H_%M_%S.fits")
    content = frame_bytes(cards(start, label, **changes), seed=int(start.timestamp()) if seed is None else seed)
    return Raw(place=f"{start:%Y%m%d}/{name}", content=content)


def calibrations(*, bias: int = 5, lamp: int = 3, speeds: tuple[float, ...] = (0.1, 2.0)) -> Iterator[Raw]:
    """An afternoon: biases of each speed, dome and arcs at the slow one, straddling UT midnight."""
    clock = AFTERNOON
    for speed in speeds:
        for number in range(bias):
            changes = {"EXPTIME": 0.0, "ADCSPEED": speed, "DOMEST": "CLOSED"}
            yield raw(clock, f"Calib:  bias {number + 1} of {bias}", **changes)
            clock += timedelta(seconds=50)
    for kind, current in (("dome", 1.0), ("Xe", 0.0), ("Hg", 0.0), ("Cd", 0.0)):
        for number in range(lamp):
            changes = {"EXPTIME": 120.0, "LAMPCUR": current, "DOMEST": "CLOSED"}
            yield raw(clock, f"Calib:  {kind} {number + 1} of {lamp}", **changes)
            clock += timedelta(seconds=300)


def on_sky(*labels: str, **changes: object) -> Iterator[Raw]:
    """Frames of the evening, twenty minutes apart."""
    for number, label in enumerate(labels):
        yield raw(EVENING + timedelta(minutes=20 * number), label, **changes)


def whole_night() -> list[Raw]:
    """A night with everything in it that a night can bring."""
    night = [
        *calibrations(),
        *on_sky(
            "STD-Feige34",
            "ZTF19aapair [A]",
            "ZTF19aapair [B]",
            "single",
            "EmptyField",
            "STD-BD+33d2642",
            "lonely [A]",
            "Focus: 12.3",
            "FaultyCube",
            "M 31 (nucleus)/x:\"y'",
        ),
    ]
    cut = raw(EVENING + timedelta(hours=6), "cut short")
    night.append(Raw(place=cut.place, content=cut.content[: len(cut.content) // 2]))
    night.append(raw(EVENING + timedelta(hours=6, minutes=20), "no speed", ADCSPEED=None))
    (twin,) = [frame for frame in night if b"'single" in frame.content]
    night.append(Raw(place=twin.place.replace(".fits", "_copy.fits"), content=twin.content))
    return night


def nights_of(*frames: Raw, days: int) -> list[Raw]:
    """The same frames some days later: new names, new pixels."""
    moved = []
    for frame in frames:
        header = fits.Header.fromstring(frame.content[: frame.content.index(b"END" + b" " * 77) + 80].decode())
        start = datetime.strptime(frame.place.split("/ifu")[1][:17], "%Y%m%d_%H_%M_%S").replace(tzinfo=UTC)
        later = start + timedelta(days=days)
        changes = {key: header[key] for key in ("EXPTIME", "ADCSPEED", "LAMPCUR", "DOMEST")}
        moved.append(raw(later, header["OBJECT"], **changes))
    return moved


def shuffled(night: list[Raw], seed: int) -> list[Raw]:
    """The same night in another order of arrival."""
    order = list(night)
    random.Random(seed).shuffle(order)
    return order


def _big_endian(data: np.ndarray) -> bytes:
    stored = (data.astype(np.int32) - 32768).astype(">i2").tobytes()
    return stored + b"\0" * (-len(stored) % 2880)
