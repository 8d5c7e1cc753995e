"""What a new reduction changed: each spectrum of a night against its former version."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sedmd.host.foreign_file import product_bytes, text_of
from sedmd.products.fitsio import ProductFault
from sedmd.products.spectrum import read_spectrum
from sedmd.reduce.numeric.containers import Spectrum

#: States of a spectrum, in the order in which they are counted.
STATES = ("same", "changed", "appeared", "vanished", "unreadable")
#: Flux is compared where both versions stand so far above their error, in so many samples at least.
SIGNIFICANT, FEWEST = 3.0, 20
#: A shift is looked for up to so many samples; below this correlation the spectra have nothing in common to shift.
MOST_LAG, LEAST_CORRELATION = 10, 0.5
#: Samples over which the continuum is smoothed, which tells nothing of a shift.
CONTINUUM = 51
#: So many of the largest changes are listed.
LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A spectrum and its former version.

    Attributes
    ----------
    night, product : str
    state : str
        One of `STATES`.
    ratio, scatter : float or None
        Median of new / former flux where both are significant, and its scatter (1.48 times the median deviation).
    shift_a : float or None
        By which the new spectrum is redder, Angstrom.
    sigma : float or None
        Typical difference in units of the new error bar (1.48 times the median of its absolute value).
    quality : tuple of int or None
        Former and new quality of the extraction.
    why : str
        What is wrong with one that cannot be read.
    """

    night: str
    product: str
    state: str
    ratio: float | None = None
    scatter: float | None = None
    shift_a: float | None = None
    sigma: float | None = None
    quality: tuple[int | None, int | None] = (None, None)
    why: str = ""


def changes_of(night: str, former: Mapping[str, Path], now: Mapping[str, Path]) -> list[Change]:
    """Every spectrum of a night, by product -> file: the former ones against those of now."""
    return [_change(night, product, former.get(product), now.get(product)) for product in sorted({*former, *now})]


def spectra_in(folder: Path) -> dict[str, Path]:
    """Product -> file of the calibrated spectra in a directory; none if there is no such directory."""
    return {path.name.removeprefix("sp_").removesuffix(".fits"): path for path in sorted(folder.glob("sp_*.fits"))}


def compare(former: Spectrum, new: Spectrum) -> dict[str, float | None]:
    """Flux ratio, its scatter, shift and difference in error bars, as `Change` names them; None where undefined.

    Spectra on other wavelengths are compared on those of the new one, where both have data.
    """
    inside = (new.wavelength >= former.wavelength[0]) & (new.wavelength <= former.wavelength[-1])
    x, flux, error = new.wavelength[inside], new.flux[inside], new.error[inside]
    before = np.interp(x, former.wavelength, former.flux)
    before_error = np.interp(x, former.wavelength, former.error)
    good = np.isfinite(flux) & np.isfinite(before) & (error > 0) & (before_error > 0)
    given: dict[str, float | None] = dict.fromkeys(("ratio", "scatter", "shift_a", "sigma"))
    bright = good & (np.abs(flux) > SIGNIFICANT * error) & (np.abs(before) > SIGNIFICANT * before_error)
    if bright.sum() >= FEWEST:
        ratio = flux[bright] / before[bright]
        given["ratio"] = float(np.median(ratio))
        given["scatter"] = float(1.4826 * np.median(np.abs(ratio - np.median(ratio))))
    if good.sum() >= FEWEST:
        given["sigma"] = float(1.4826 * np.median(np.abs(flux - before)[good] / error[good]))
        given["shift_a"] = _shift(x, np.where(good, flux, np.nan), np.where(good, before, np.nan))
    return given


def write_changes(changes: Sequence[Change], path: Path) -> None:
    """Changes as JSON, whole or not at all."""
    from sedmd.host.files import write_bytes_atomic

    write_bytes_atomic(json.dumps([asdict(one) for one in changes], indent=1).encode() + b"\n", path)


def read_changes(path: Path) -> list[Change]:
    """What `write_changes` wrote; nothing if there is no such file or it is none of ours."""
    try:
        entries = json.loads(text_of(path))
        return [Change(**(entry | {"quality": tuple(entry["quality"])})) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def table(changes: Iterable[Change]) -> str:
    """How many spectra are the same, changed, new or gone, and the largest changes, as text."""
    changes = list(changes)
    counts = Counter(one.state for one in changes)
    lines = [", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no spectra"]
    if counts and set(counts) == {"appeared"}:
        return f"{lines[0]}: no former version"
    moved = [one for one in changes if one.state == "changed"]
    ratios = [one.ratio for one in moved if one.ratio is not None]
    if ratios:
        low, middle, high = np.percentile(ratios, [16, 50, 84])
        lines.append(f"flux, new / former: median {middle:.4f}, two thirds within {low:.4f} to {high:.4f}")
    qualities = Counter(one.quality for one in moved if one.quality[0] != one.quality[1])
    if qualities:
        text = ", ".join(f"{before} to {after}: {n}" for (before, after), n in sorted(qualities.items(), key=str))
        lines.append(f"quality, former to new: {text}")
    odd = [one for one in changes if one.state in ("appeared", "vanished", "unreadable")]
    largest = sorted(moved, key=lambda one: -(one.sigma or 0.0))
    shown = [*odd, *largest][:LISTED]
    if shown:
        heads = f"{'ratio':>8} {'scatter':>8} {'shift A':>8} {'sigma':>7}"
        lines += ["", f"{'night':8}  {'spectrum':34} {'':10} {heads}  quality"]
        lines += [_line(one) for one in shown]
    if len(odd) + len(largest) > len(shown):
        lines.append(f"... and {len(odd) + len(largest) - len(shown)} more; --json FILE has all")
    return "\n".join(lines)


def _line(one: Change) -> str:
    figures = [
        f"{'-' if value is None else format(value, pattern):>{width}}"
        for value, pattern, width in (
            (one.ratio, ".4f", 8),
            (one.scatter, ".4f", 8),
            (one.shift_a, "+.2f", 8),
            (one.sigma, ".2f", 7),
        )
    ]
    before, after = ("-" if value is None else str(value) for value in one.quality)
    quality = before if before == after else f"{before} to {after}"
    return f"{one.night:8}  {one.product:34} {one.state:10} {' '.join(figures)}  {quality}  {one.why}".rstrip()


def _change(night: str, product: str, former: Path | None, now: Path | None) -> Change:
    try:
        if former is not None and now is not None and product_bytes(former) == product_bytes(now):
            return Change(night=night, product=product, state="same")
        before, after = (None if path is None else read_spectrum(path)[0] for path in (former, now))
    except (ProductFault, OSError) as fault:
        why = " ".join(str(fault).split())
        return Change(night=night, product=product, state="unreadable", why=why)
    quality = (_quality(before), _quality(after))
    if before is None or after is None:
        state = "appeared" if before is None else "vanished"
        return Change(night=night, product=product, state=state, quality=quality)
    if quality[0] == quality[1] and all(
        np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True)
        for name in ("wavelength", "flux", "error")
    ):
        return Change(night=night, product=product, state="same", quality=quality)  # only its header differs
    given = compare(before, after)
    return Change(
        night=night,
        product=product,
        state="changed",
        ratio=given["ratio"],
        scatter=given["scatter"],
        shift_a=given["shift_a"],
        sigma=given["sigma"],
        quality=quality,
    )


def _quality(spectrum: Spectrum | None) -> int | None:
    value = None if spectrum is None else spectrum.meta.get("quality")
    return int(value) if isinstance(value, int | float) else None


def _shift(x: NDArray[np.float64], new: NDArray[np.float64], former: NDArray[np.float64]) -> float | None:
    """By which `new` is redder, from the peak of the correlation of both without their continua, a parabola through
    its three highest samples."""
    step = float(np.median(np.diff(x)))
    fine = np.arange(x[0], x[-1], step)
    one, other = (_lines(fine, x, flux) for flux in (new, former))
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if len(fine) <= 4 * MOST_LAG or not norm > 0:
        return None
    inner = slice(MOST_LAG, len(fine) - MOST_LAG)
    lags = np.arange(-MOST_LAG, MOST_LAG + 1)
    peak = np.array([(one[inner] * np.roll(other, lag)[inner]).sum() for lag in lags]) / norm
    best = int(np.argmax(peak))
    if peak[best] < LEAST_CORRELATION or best in (0, len(lags) - 1):
        return None
    left, middle, right = peak[best - 1 : best + 2]
    curve = left - 2 * middle + right
    return float(step * (lags[best] + (0.5 * (left - right) / curve if curve < 0 else 0.0)))


def _lines(fine: NDArray[np.float64], x: NDArray[np.float64], flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """A spectrum on even wavelengths without its continuum."""
    good = np.isfinite(flux)
    even = np.interp(fine, x[good], flux[good])
    padded = np.pad(even, CONTINUUM // 2, mode="edge")
    return even - np.convolve(padded, np.full(CONTINUUM, 1 / CONTINUUM), mode="valid")
