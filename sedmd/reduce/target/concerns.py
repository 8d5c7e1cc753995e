"""Concerns about a spectrum that was extracted without an observer: each reason with its confidence factor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.stats import norm

from sedmd.reduce.target.find import BAND_EDGES, RIM_ARCSEC, Source, edge_distance
from sedmd.reduce.target.host import Host
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import PointSpectrum, Psf, image
from sedmd.reduce.target.seeing import Seeing
from sedmd.reduce.target.target import GATE, Candidate, Concern, Look, nod_error, nod_of, place_of

#: Light from objects farther than this does not reach the target [arcsec].
REACH_ARCSEC = 9.0
#: Wavelengths between which the signal-to-noise ratio is quoted [Angstrom].
SNR_RANGE = (4500.0, 8500.0)
#: Share of host light, in units of the target's, at which half the levels are right within 15 per cent (measured by
#: tests/benchmarks/automatic.py): below a tenth all are.
HALF_SOUND = 0.37
#: Structure finer than so many bins is searched for residuals of sky lines.
FINE_BINS = 11


def matters(other: Source, target: Source) -> bool:
    """It is real, and near enough to shine on the target."""
    return (
        other.edge_arcsec > RIM_ARCSEC
        and other.significance > 8.0
        and apart(other.psf, target.psf) < REACH_ARCSEC
        and other.brightness > 0.01 * target.brightness
    )


def apart(one: Psf, two: Psf) -> float:
    """Distance between two images at the reference wavelength, arcsec."""
    return math.hypot(one.x_arcsec - two.x_arcsec, one.y_arcsec - two.y_arcsec)


def snr_of(wavelength: NDArray[np.floating], point: PointSpectrum) -> float:
    """Median signal-to-noise ratio per bin between 4500 and 8500 Angstrom; 0 where nothing was measured."""
    inside = (wavelength > SNR_RANGE[0]) & (wavelength < SNR_RANGE[1]) & np.isfinite(point.flux)
    return float(np.median(point.flux[inside] / point.error[inside])) if inside.any() else 0.0


def _rises(value: float, middle: float, width: float) -> float:
    """From 0 to 1 about `middle`: an even chance there, certain at two widths above."""
    return float(norm.cdf((value - middle) / width))


def nothing(looks: Sequence[Look], found: Sequence[Sequence[Source]]) -> Concern:
    """Why there is no candidate."""
    if len(looks) == 1 or not any(found):
        return Concern(why="no object stands out from the sky", confidence=0.0)
    if nod_of(looks) is not None and all(found):
        return Concern(why="no object moved from A to B as the telescope did", confidence=0.0)
    return Concern(why="no object is in both A and B", confidence=0.0)


def nothing_there(looks: Sequence[Look], found: Sequence[Sequence[Source]], places: Sequence[Place]) -> Concern:
    """Why there is no candidate where stars around the target tell where it is."""
    place = places[0]
    spaxels = looks[0].cube.spaxels
    at = f"({place.x_arcsec:+.1f}, {place.y_arcsec:+.1f}) arcsec, {place.source}"
    if (beyond := -edge_distance(spaxels, place.x_arcsec, place.y_arcsec)) > 0:
        return Concern(why=f"the target is {beyond:.1f} arcsec outside the field: {at}", confidence=0.0)
    others = len(found[0])
    seen = f"; {others} other {'object is' if others == 1 else 'objects are'} in the field" if others else ""
    why = f"no object within {GATE * place.spread_arcsec:.1f} arcsec of the target's position {at}{seen}"
    return Concern(why=why, confidence=0.0)


def about_place(chosen: Candidate, ranked: Sequence[Candidate], sources: Sequence[Source], seeing: Seeing) -> Concern:
    """Is it the target? By its place and its width, and by what else may be."""
    x, y = chosen.place
    where = f"the object at ({x:+.1f}, {y:+.1f}) arcsec"
    rivals = [one for one in ranked if one is not chosen and one.chance > 0.3 * (1 - chosen.chance)]
    if rivals:
        at = ", ".join(f"({one.place[0]:+.1f}, {one.place[1]:+.1f})" for one in rivals)
        return Concern(why=f"{where} may be the target, or that at {at}", confidence=chosen.chance)
    why = f"{where} is {chosen.off_arcsec:.1f} arcsec from the expected position"
    if not chosen.expected.known:
        why = f"{where}: the expected position is not known yet"
    width = min(source.psf.fwhm_arcsec for source in sources)
    if width > seeing.fwhm_arcsec + seeing.spread_arcsec:
        why += f", and may be a galaxy (FWHM {width:.1f} arcsec; of a star {seeing.fwhm_arcsec:.1f})"
    return Concern(why=why, confidence=chosen.chance)


def about_detection(chosen: Candidate, hosts: Sequence[Host]) -> Concern:
    """A peak of the noise: cosmic rays and errors of the flat field make tails that nobody has a formula for."""
    significance = chosen.significance
    if hosts:
        # what stands out from the sky may be the host; what stands out from the host is the target
        beside = sum(host.significance * abs(host.significance) for host in hosts)
        significance = min(significance, math.copysign(math.sqrt(abs(beside)), beside))
    return Concern(
        why=f"the object is faint ({significance:.0f} sigma in the broad bands)",
        confidence=_rises(significance, 6.5, 1.0),
    )


def about_noise(snr: float) -> Concern:
    """Does the spectrum tell anything?"""
    return Concern(why=f"the spectrum is faint (S/N {snr:.1f} per bin)", confidence=_rises(snr, 1.2, 0.4))


def about_hosts(hosts: Sequence[Host]) -> list[Concern]:
    """Light of a host was separated from the target's, as far as possible."""
    if not hosts:
        return []
    share = max(abs(host.share) for host in hosts)
    off = float(np.mean([host.separation_arcsec for host in hosts]))
    why = f"host light of {100 * share:.0f} % of the target's, {off:.1f} arcsec away, was modelled"
    confidence = 1.0 / (1.0 + (share / HALF_SOUND) ** 3) if np.isfinite(share) else 0.0
    return [Concern(why=why, confidence=confidence, modelled=True)]


def about_picture(pictures: Sequence[Host]) -> Concern:
    """Star, host and neighbours should account for what is seen."""
    chi2 = max(picture.chi2 for picture in pictures)
    return Concern(
        why=f"the model of the field around it fits poorly (chi2 {chi2:.1f})", confidence=_rises(-chi2, -5.5, 1.0)
    )


def about_neighbours(chosen: Candidate, found: Sequence[Source], hosts: Sequence[Host]) -> list[Concern]:
    """The neighbour that shines most on the target."""
    target = chosen.sources[0]
    near = [one for one in found if one is not target and matters(one, target)]
    if hosts:
        near = [one for one in near if apart(one.psf, hosts[0].image) > hosts[0].image.fwhm_arcsec]
    lights = [
        (one.brightness / target.brightness * math.exp(-0.5 * (apart(one.psf, target.psf) / 2.0) ** 2), one)
        for one in near
    ]
    if not lights:
        return []
    light, other = max(lights, key=lambda pair: pair[0])
    x, y = place_of(other)
    ratio = other.brightness / target.brightness
    why = f"a neighbour of {100 * ratio:.0f} % of its light at ({x:+.1f}, {y:+.1f}) arcsec was modelled"
    return [Concern(why=why, confidence=1.0 / (1.0 + light), modelled=True)]


def about_sharpness(source: Source) -> Concern:
    """No star is sharper than the air allows: a cosmic ray is, or a hot spaxel."""
    width = source.psf.fwhm_arcsec
    return Concern(
        why=f"the object is too sharp for a star (FWHM {width:.1f} arcsec)", confidence=_rises(width, 0.8, 0.1)
    )


def about_edge(look: Look, psf: Psf) -> Concern:
    """Light that fell outside the array is estimated from the rest."""
    cube, shift = look.cube, look.refraction
    at = np.linspace(0, len(cube.wavelength) - 1, 5).astype(int)
    shape = image(psf, cube.spaxels, cube.wavelength[at], shift.east[at], shift.north[at])
    seen = float(shape.sum(axis=1).min())
    why = f"{100 * (1 - seen):.0f} % of the object's light fell outside the array"
    return Concern(why=why, confidence=_rises(seen, 0.80, 0.05))


def about_nod(looks: Sequence[Look], chosen: Candidate) -> list[Concern]:
    """Did it move as the telescope did?"""
    if len(looks) == 1:
        return []
    off = nod_error(chosen.sources[0], chosen.sources[1], nod_of(looks))
    error = math.hypot(*(source.position_error for source in chosen.sources))
    why = f"from A to B the object's move differs by {off:.1f} arcsec from the telescope's"
    return [Concern(why=why, confidence=float(2 * norm.sf(off / math.hypot(0.8, error))) if off > 1.0 else 1.0)]


def about_agreement(
    looks: Sequence[Look], sources: Sequence[Source], gain_b: NDArray[np.floating] | float
) -> list[Concern]:
    """The same object has the same colours in A and B."""
    if len(looks) == 1:
        return []
    a, b = sources
    wavelength = looks[0].cube.wavelength
    gain = np.broadcast_to(np.asarray(gain_b, float), wavelength.shape)
    centres = 0.5 * (BAND_EDGES[1:] + BAND_EDGES[:-1])
    expected = np.interp(centres, wavelength, gain)
    one, two = a.amplitude * expected, b.amplitude
    error = np.hypot(a.amplitude_error * expected, b.amplitude_error) + 0.05 * np.abs(one)
    # clouds and guiding change the level of all bands alike
    level = float(np.sum(one * two / error**2) / np.sum(one**2 / error**2))
    chi2 = float(np.sum(((two - level * one) / error) ** 2)) / (len(centres) - 1)
    spread = float(np.sqrt(1.0 / np.sum((one / error) ** 2)))
    return [
        Concern(
            why=f"B has {level:.2f} times the light of A",
            confidence=_rises(-abs(math.log(max(level, 1e-3))), -0.8 - 3 * spread, 0.2),
        ),
        Concern(why=f"A and B differ in colour (chi2 {chi2:.1f})", confidence=_rises(-chi2, -7.0, 2.0)),
    ]


def about_sky(wavelength: NDArray[np.floating], point: PointSpectrum) -> Concern:
    """How much of the night sky's lines is left: what the spectrum's fine structure has in common with the sky's."""
    good = np.isfinite(point.flux) & np.isfinite(point.sky) & (point.error > 0)
    good &= (wavelength > SNR_RANGE[0]) & (wavelength < SNR_RANGE[1])
    if good.sum() < 3 * FINE_BINS:
        return Concern(why="the spectrum has too few bins to measure sky residuals", confidence=0.9)
    flux, sky, error = point.flux[good], point.sky[good], point.error[good]
    fine, lines = (one - median_filter(one, FINE_BINS, mode="nearest") for one in (flux, sky))
    weight = 1.0 / error**2
    norm_ = float(np.sum(weight * lines**2))
    if not norm_ > 0:
        return Concern(why="the sky has no lines", confidence=1.0)
    left = float(np.sum(weight * lines * fine)) / norm_
    # a supernova's own features are as fine as lines are: they make the error
    sigma = math.sqrt(max(float(np.sum(weight * (fine - left * lines) ** 2)) / len(fine), 1.0) / norm_)
    share = abs(left) * float(np.std(lines)) / max(float(np.median(np.abs(flux))), 1e-300)
    why = f"sky line residuals: {100 * share:.0f} % of its light"
    if abs(left) < 4 * sigma:
        return Concern(why=why, confidence=1.0)
    return Concern(why=why, confidence=1.0 - 0.2 * _rises(share, 0.06, 0.02))
