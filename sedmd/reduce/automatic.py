"""The spectrum of a target without an observer, and how much it is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.stats import norm

from sedmd.reduce.find import BAND_EDGES, RIM_ARCSEC, Source, find_in_bands, without
from sedmd.reduce.host import Host, fit_host
from sedmd.reduce.pair import extract_pair
from sedmd.reduce.psf import Bands, PointSpectrum, Psf, condense, extract_point, image
from sedmd.reduce.target import (
    SEEING_SPREAD,
    Candidate,
    Doubt,
    Look,
    candidates,
    likeness,
    nod_error,
    nod_of,
    place_of,
    weighed,
)

#: Light from objects farther than this does not reach the target [arcsec].
REACH_ARCSEC = 9.0
#: A galaxy whose middle is farther off is a neighbour [arcsec].
HOST_ARCSEC = 6.0
#: Candidates with a chance above this are looked at more closely, at most so many.
CONTENDER, MOST_CONTENDERS = 0.02, 3
#: A point of a smaller share of a source's light makes no host of it.
LEAST_RIVAL = 0.05
#: Wavelengths between which the signal-to-noise ratio is quoted [Angstrom].
SNR_RANGE = (4500.0, 8500.0)
#: What is finer than so many bins is looked at for what is left of the sky's lines.
FINE_BINS = 11
#: Trust from which a doubt is not worth mentioning.
NO_DOUBT = 0.985
#: Signal-to-noise ratio per bin from which a spectrum without doubts is good; acceptable below.
GOOD_SNR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """What was found without an observer.

    Attributes
    ----------
    point : PointSpectrum or None
        In counts of the first exposure; None when nothing was found.
    sources : the target in each exposure; its `psf` is the one that was extracted with
    host : the light around the target in each exposure, where there is any
    found : everything that was found in each exposure, the brightest first
    others : further objects, places in the first exposure [arcsec]
    doubts : every reason, the gravest first
    snr : median signal-to-noise ratio per bin
    """

    point: PointSpectrum | None
    sources: tuple[Source, ...] = ()
    host: tuple[Host, ...] = ()
    found: tuple[tuple[Source, ...], ...] = ()
    others: tuple[tuple[float, float], ...] = ()
    doubts: tuple[Doubt, ...] = ()
    snr: float = 0.0

    @property
    def confidence(self) -> float:
        """Probability that this is the target's spectrum and sound, as far as the reasons go; each taken for itself."""
        return math.prod(doubt.trust for doubt in self.doubts) if self.point is not None else 0.0

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it, the gravest first."""
        return tuple(doubt.why for doubt in self.doubts if doubt.trust < NO_DOUBT)

    @property
    def quality(self) -> int:
        """The grade of a confident spectrum: 1 good, 2 acceptable."""
        return 1 if self.snr >= GOOD_SNR and not self.reasons else 2


def extract_target(
    looks: Sequence[Look],
    *,
    gain_b: NDArray[np.floating] | float = 1.0,
    pointing_arcsec: float = 1.5,
    seeing_arcsec: float = 1.8,
    standard: bool = False,
    doubts: Sequence[Doubt] = (),
) -> Automatic:
    """Find the target in one exposure or in A and B, and extract it with whatever else is there taken into account.

    Parameters
    ----------
    looks : one exposure, or A and B
    gain_b : (n_wave,) or float, counts in B for one in A (see `extract_pair`)
    pointing_arcsec : spread of the telescope's pointing in each axis
    seeing_arcsec : usual FWHM of a star
    standard : the target is a standard star: the brightest object
    doubts : what else speaks against it: its calibrations, say

    Raises
    ------
    ValueError
        A and B do not hold the same spaxels and wavelengths.
    """
    bands = [condense(look.cube, look.refraction, BAND_EDGES) for look in looks]
    found = [find_in_bands(one, look.cube.spaxels) for one, look in zip(bands, looks, strict=True)]
    ranked = candidates(looks, found, pointing_arcsec=pointing_arcsec)
    if not ranked:
        return Automatic(point=None, found=tuple(map(tuple, found)), doubts=(_nothing(looks, found),))
    pictures: list[Host] = []
    hosts: list[Host] = []
    if standard:
        chosen = max(ranked, key=lambda one: one.sources[0].brightness)
    else:
        ranked, pictures = _by_shape(looks, bands, found, ranked, pointing_arcsec, seeing_arcsec)
        chosen = ranked[0]
        hosts = pictures if any(picture.clear for picture in pictures) else []
    images = _images(chosen.sources, hosts)
    sources = tuple(replace(one, psf=psf) for one, psf in zip(chosen.sources, images, strict=True))
    beside = [] if standard else _beside(looks, found, chosen, hosts)
    point = _extracted(looks, sources, beside, gain_b)
    snr = snr_of(looks[0].cube.wavelength, point)
    reasons = [
        _about_detection(chosen, hosts),
        *(_about_sharpness(source) for source in sources),
        *(_about_edge(look, source.psf) for look, source in zip(looks, sources, strict=True)),
    ]
    if not standard:
        reasons += [
            _about_place(chosen, ranked, sources, seeing_arcsec),
            *_about_hosts(hosts),
            _about_picture(pictures),
            *_about_neighbours(chosen, found[0], hosts),
            *_about_nod(looks, chosen),
            *_about_agreement(looks, sources, gain_b),
            _about_noise(snr),
            _about_sky(looks[0].cube.wavelength, point),
            *doubts,
        ]
    others = [one for one in found[0] if one is not chosen.sources[0] and one.edge_arcsec > RIM_ARCSEC]
    return Automatic(
        point=point,
        sources=sources,
        host=tuple(hosts),
        found=tuple(map(tuple, found)),
        others=tuple(place_of(one) for one in others),
        doubts=tuple(sorted(reasons, key=lambda doubt: doubt.trust)),
        snr=snr,
    )


def snr_of(wavelength: NDArray[np.floating], point: PointSpectrum) -> float:
    """Median signal-to-noise ratio per bin between 4500 and 8500 Angstrom; 0 where nothing was measured."""
    inside = (wavelength > SNR_RANGE[0]) & (wavelength < SNR_RANGE[1]) & np.isfinite(point.flux)
    return float(np.median(point.flux[inside] / point.error[inside])) if inside.any() else 0.0


def _by_shape(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    ranked: Sequence[Candidate],
    pointing_arcsec: float,
    seeing_arcsec: float,
) -> tuple[list[Candidate], list[Host]]:
    """The candidates once more, those that are points first; and the picture of the first in each exposure."""
    first = ranked[0]
    close = [first, *(one for one in ranked[1:MOST_CONTENDERS] if one.chance > CONTENDER)]
    fits = [_hosts(looks, bands, found, candidate, first) for candidate in close]
    factors = []
    for number, candidate in enumerate(ranked):
        own = fits[number] if number < len(fits) and any(host.clear for host in fits[number]) else []
        width = min(psf.fwhm_arcsec for psf in (_images(candidate.sources, own)))
        factors.append(
            likeness(candidate.off_arcsec, width, pointing_arcsec=pointing_arcsec, seeing_arcsec=seeing_arcsec)
        )
    for number, candidate in enumerate(close):
        for rival, fit in zip(close, fits, strict=True):
            if rival is candidate:
                continue
            factors[number] *= math.prod(
                _is_no_host(source, point, own, other) ** (1 / len(looks))
                for source, point, own, other in zip(candidate.sources, rival.sources, fits[number], fit, strict=True)
            )
    again = weighed(ranked, factors)
    chosen = next(number for number, one in enumerate(ranked) if one.sources is again[0].sources)
    light = fits[chosen] if chosen < len(fits) else _hosts(looks, bands, found, again[0], again[0])
    return again, light


def _images(sources: Sequence[Source], hosts: Sequence[Host]) -> list[Psf]:
    """The target's image in each exposure: as it was fitted beside its host, if it has one."""
    return [host.star for host in hosts] if hosts else [source.psf for source in sources]


def _is_no_host(source: Source, rival: Source, own: Host, other: Host) -> float:
    """How much less likely a source is to be the target because it may be the host of a rival.

    Where the rival is a point beside extended light in the source's place, that picture is weighed against the one in
    which the source is the point.
    """
    if not (other.clear and other.extended) or _apart(source.psf, other.image) > 0.7 * other.image.fwhm_arcsec:
        return 1.0
    if rival.brightness < LEAST_RIVAL * source.brightness:
        return 1.0  # what is left in the wings of a bright star, and no point
    return math.exp(-0.5 * min(max((own.cost - other.cost) / max(other.chi2, 1.0), 0.0), 20.0))


def _hosts(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    candidate: Candidate,
    first: Candidate,
) -> list[Host]:
    """A candidate's surroundings in each exposure, from the spaxels around the first."""
    fits = []
    for number, (one, look) in enumerate(zip(bands, looks, strict=True)):
        source = candidate.sources[number]
        # a galaxy beside it was found as a source of its own
        rest = [other for other in found[number] if other is not source]
        beside = [other for other in rest if _apart(other.psf, source.psf) < HOST_ARCSEC]
        nearest = max(beside, key=lambda other: other.brightness, default=source)
        cleared = without(one, look.cube.spaxels, (other for other in rest if other is not nearest))
        inside = _apart(source.psf, first.sources[number].psf) < HOST_ARCSEC
        about = place_of(first.sources[number] if inside else source)
        fits.append(fit_host(cleared, look.cube.spaxels, source.psf, near=place_of(nearest), about=about))
    return fits


def _beside(
    looks: Sequence[Look], found: Sequence[Sequence[Source]], chosen: Candidate, hosts: Sequence[Host]
) -> list[tuple[NDArray, ...]]:
    """Images, in each exposure, of the light beside the target that is not its own."""
    places = [place_of(source) for source in chosen.sources]
    # an object seen in one exposure lies in the other where the target's move puts it
    psfs: list[tuple[Psf, ...]] = []
    for number, sources in enumerate(found):
        for one in sources:
            if one is chosen.sources[number] or not _matters(one, chosen.sources[number]):
                continue
            moved = tuple(
                replace(
                    one.psf,
                    x_arcsec=one.psf.x_arcsec + place[0] - places[number][0],
                    y_arcsec=one.psf.y_arcsec + place[1] - places[number][1],
                )
                for place in places
            )
            if all(_apart(moved[0], known[0]) > 1.0 for known in psfs):
                psfs.append(moved)
    if hosts:
        # what the search took for neighbours is the host's light as a rule
        near = [host.image for host in hosts]
        psfs = [one for one in psfs if _apart(one[0], near[0]) > near[0].fwhm_arcsec]
        psfs.append(tuple(near))
    return [
        tuple(
            image(psf, look.cube.spaxels, look.cube.wavelength, look.refraction.east, look.refraction.north)
            for psf, look in zip(group, looks, strict=True)
        )
        for group in psfs
    ]


def _matters(other: Source, target: Source) -> bool:
    """It is real, and near enough to shine on the target."""
    return (
        other.edge_arcsec > RIM_ARCSEC
        and other.significance > 8.0
        and _apart(other.psf, target.psf) < REACH_ARCSEC
        and other.brightness > 0.01 * target.brightness
    )


def _apart(one: Psf, two: Psf) -> float:
    return math.hypot(one.x_arcsec - two.x_arcsec, one.y_arcsec - two.y_arcsec)


def _extracted(
    looks: Sequence[Look],
    sources: Sequence[Source],
    beside: Sequence[tuple[NDArray, ...]],
    gain_b: NDArray[np.floating] | float,
) -> PointSpectrum:
    if len(looks) == 1:
        return extract_point(looks[0].cube, sources[0].psf, looks[0].refraction, others=[one[0] for one in beside])
    a, b = looks
    return extract_pair(
        a.cube,
        b.cube,
        sources[0].psf,
        sources[1].psf,
        a.refraction,
        b.refraction,
        gain_b=gain_b,
        others=[(one[0], one[1]) for one in beside],
    )


# reasons


def _rises(value: float, middle: float, width: float) -> float:
    """From 0 to 1 about `middle`: an even chance there, sure at two widths above."""
    return float(norm.cdf((value - middle) / width))


def _nothing(looks: Sequence[Look], found: Sequence[Sequence[Source]]) -> Doubt:
    if len(looks) == 1 or not any(found):
        return Doubt(why="no object stands out from the sky", trust=0.0)
    if nod_of(looks) is not None and all(found):
        return Doubt(why="no object moved from A to B as the telescope did", trust=0.0)
    return Doubt(why="no object is in both A and B", trust=0.0)


def _about_place(
    chosen: Candidate, ranked: Sequence[Candidate], sources: Sequence[Source], seeing_arcsec: float
) -> Doubt:
    x, y = chosen.place
    where = f"the object at ({x:+.1f}, {y:+.1f}) arcsec"
    rivals = [one for one in ranked if one is not chosen and one.chance > 0.3 * (1 - chosen.chance)]
    if rivals:
        at = ", ".join(f"({one.place[0]:+.1f}, {one.place[1]:+.1f})" for one in rivals)
        return Doubt(why=f"{where} may be the target, or that at {at}", trust=chosen.chance)
    why = f"{where} lies {chosen.off_arcsec:.1f} arcsec from where the telescope pointed"
    width = min(source.psf.fwhm_arcsec for source in sources)
    if width > seeing_arcsec + SEEING_SPREAD:
        why += f", and may be a galaxy (FWHM {width:.1f} arcsec)"
    return Doubt(why=why, trust=chosen.chance)


def _about_detection(chosen: Candidate, hosts: Sequence[Host]) -> Doubt:
    """A peak of the noise: cosmic rays and errors of the flat field make tails that nobody has a formula for."""
    significance = chosen.significance
    if hosts:
        # what stands out from the sky may be the host; what stands out from the host is the target
        beside = sum(host.significance * abs(host.significance) for host in hosts)
        significance = min(significance, math.copysign(math.sqrt(abs(beside)), beside))
    return Doubt(
        why=f"the object is faint ({significance:.0f} sigma in the broad bands)",
        trust=_rises(significance, 7.0, 1.3),
    )


def _about_noise(snr: float) -> Doubt:
    return Doubt(why=f"the spectrum is faint (S/N {snr:.1f} per bin)", trust=_rises(snr, 1.2, 0.4))


def _about_hosts(hosts: Sequence[Host]) -> list[Doubt]:
    if not hosts:
        return []
    share = max(abs(host.share) for host in hosts)
    apart = float(np.mean([host.separation_arcsec for host in hosts]))
    why = f"host light of {100 * share:.0f} % of the target's, {apart:.1f} arcsec away, was modelled"
    return [Doubt(why=why, trust=1.0 / (1.0 + share / 2.0) if np.isfinite(share) else 0.0)]


def _about_picture(pictures: Sequence[Host]) -> Doubt:
    """Star, host and neighbours should account for what is seen."""
    chi2 = max(picture.chi2 for picture in pictures)
    return Doubt(why=f"the field around it is not understood (chi2 {chi2:.1f})", trust=_rises(-chi2, -6.5, 2.0))


def _about_neighbours(chosen: Candidate, found: Sequence[Source], hosts: Sequence[Host]) -> list[Doubt]:
    """The neighbour that shines most on the target."""
    target = chosen.sources[0]
    near = [one for one in found if one is not target and _matters(one, target)]
    if hosts:
        near = [one for one in near if _apart(one.psf, hosts[0].image) > hosts[0].image.fwhm_arcsec]
    lights = [
        (one.brightness / target.brightness * math.exp(-0.5 * (_apart(one.psf, target.psf) / 2.0) ** 2), one)
        for one in near
    ]
    if not lights:
        return []
    light, other = max(lights, key=lambda pair: pair[0])
    x, y = place_of(other)
    ratio = other.brightness / target.brightness
    why = f"a neighbour of {100 * ratio:.0f} % of its light at ({x:+.1f}, {y:+.1f}) arcsec was modelled"
    return [Doubt(why=why, trust=1.0 / (1.0 + light))]


def _about_sharpness(source: Source) -> Doubt:
    """No star is sharper than the air allows: a cosmic ray is, or a hot spaxel."""
    width = source.psf.fwhm_arcsec
    return Doubt(why=f"the object is too sharp for a star (FWHM {width:.1f} arcsec)", trust=_rises(width, 0.8, 0.1))


def _about_edge(look: Look, psf: Psf) -> Doubt:
    """Light that fell beside the array is guessed from the rest."""
    cube, shift = look.cube, look.refraction
    at = np.linspace(0, len(cube.wavelength) - 1, 5).astype(int)
    shape = image(psf, cube.spaxels, cube.wavelength[at], shift.east[at], shift.north[at])
    seen = float(shape.sum(axis=1).min())
    why = f"{100 * (1 - seen):.0f} % of the object's light fell beside the array"
    return Doubt(why=why, trust=_rises(seen, 0.80, 0.05))


def _about_nod(looks: Sequence[Look], chosen: Candidate) -> list[Doubt]:
    if len(looks) == 1:
        return []
    off = nod_error(chosen.sources[0], chosen.sources[1], nod_of(looks))
    error = math.hypot(*(source.position_error for source in chosen.sources))
    why = f"from A to B the object moved {off:.1f} arcsec off the telescope's move"
    return [Doubt(why=why, trust=float(2 * norm.sf(off / math.hypot(0.8, error))) if off > 1.0 else 1.0)]


def _about_agreement(
    looks: Sequence[Look], sources: Sequence[Source], gain_b: NDArray[np.floating] | float
) -> list[Doubt]:
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
        Doubt(
            why=f"B has {level:.2f} times the light of A",
            trust=_rises(-abs(math.log(max(level, 1e-3))), -0.8 - 3 * spread, 0.2),
        ),
        Doubt(why=f"A and B differ in colour (chi2 {chi2:.1f})", trust=_rises(-chi2, -7.0, 2.0)),
    ]


def _about_sky(wavelength: NDArray[np.floating], point: PointSpectrum) -> Doubt:
    """How much of the night sky's lines is left: what the spectrum's fine structure has in common with the sky's."""
    good = np.isfinite(point.flux) & np.isfinite(point.sky) & (point.error > 0)
    good &= (wavelength > SNR_RANGE[0]) & (wavelength < SNR_RANGE[1])
    if good.sum() < 3 * FINE_BINS:
        return Doubt(why="the spectrum has too few bins to see what is left of the sky", trust=0.9)
    flux, sky, error = point.flux[good], point.sky[good], point.error[good]
    fine, lines = (one - median_filter(one, FINE_BINS, mode="nearest") for one in (flux, sky))
    weight = 1.0 / error**2
    norm_ = float(np.sum(weight * lines**2))
    left = float(np.sum(weight * lines * fine)) / norm_
    # a supernova's own features are as fine as lines are: they make the error
    sigma = math.sqrt(max(float(np.sum(weight * (fine - left * lines) ** 2)) / len(fine), 1.0) / norm_)
    share = abs(left) * float(np.std(lines)) / max(float(np.median(np.abs(flux))), 1e-300)
    why = f"sky lines are left in it: {100 * share:.0f} % of its light"
    if abs(left) < 4 * sigma:
        return Doubt(why=why, trust=1.0)
    return Doubt(why=why, trust=1.0 - 0.2 * _rises(share, 0.06, 0.02))
