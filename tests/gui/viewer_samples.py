"""Synthetic cubes, observations and a presenter without a window, for the tests of the viewer."""

import os
import signal
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.observation import saved
from sedmd.observation.exposure import Exposure
from sedmd.observation.inputs import Inputs, Subject
from sedmd.observation.load import Observation
from sedmd.observation.meta import Facts
from sedmd.observation.suggestion import suggest
from sedmd.products.published import read_published
from sedmd.reduce.numeric.containers import Cube, Spaxels
from sedmd.reduce.target.aperture import difference
from sedmd.reduce.target.psf import Refraction
from sedmd.reduce.target.target import Look
from sedmview.actions import press
from sedmview.beside import Beside
from sedmview.desk import Inline
from sedmview.disk import NightOnDisk
from sedmview.memory import Memory
from sedmview.presenter import Presenter
from sedmview.targets import Entry, NightList

NOW = datetime(2019, 6, 12, 6, 0, tzinfo=UTC)
NOD = (-6.0, 8.0)


def make_cube(sources=(), *, sky=20.0, seed=1, reach=11.0, n_wave=60, spectrum=1.0, sky_spectrum=1.0):
    """Gaussian stars (x, y, light) of 0.8 arcsec sigma on a flat sky, with noise; the spectra are (n_wave,) factors."""
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-40, 41), np.arange(-40, 41)))
    x, y = -0.613 * q - 0.173 * r, -0.174 * q - 0.597 * r
    inside = (np.abs(x) < reach) & (np.abs(y) < reach)
    q, r, x, y = q[inside], r[inside], x[inside], y[inside]
    wavelength = np.linspace(3800, 9200, n_wave)
    light = np.outer(np.full(n_wave, 1.0) * sky_spectrum, np.full(len(q), sky))
    for at_x, at_y, total in sources:
        star = total * np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / 0.8**2)
        light += np.outer(np.full(n_wave, 1.0) * spectrum, star)
    flux = np.random.default_rng(seed).normal(light, 1.0)
    return Cube(
        wavelength=wavelength,
        flux=flux.astype(np.float32),
        variance=np.ones(flux.shape, np.float32),
        mask=np.zeros(flux.shape, np.uint8),
        spaxels=Spaxels(ident=np.arange(len(q)), q=q, r=r, x_arcsec=x, y_arcsec=y),
    )


#: The same cube again and again; who changes one makes his own.
known_cube = cache(make_cube)


def make_observation(*cubes, product="ZTF19abc", nod=None, folder=Path("20190612"), header=None, inputs=None):
    """One cube, or A and B; by default a star at (3, -4)."""
    cubes = cubes or (known_cube(((3.0, -4.0, 200.0),)),)
    field_cube = cubes[0]
    if len(cubes) == 2:
        field_cube = difference(*cubes, exptime_a_s=900.0, exptime_b_s=900.0)
    still = np.zeros(len(field_cube.wavelength))
    half = None if nod is None else (nod[0] / 2, nod[1] / 2)
    offsets = (half, None if half is None else (-half[0], -half[1]))
    facts = {"utc": "2019-06-12 04:07:07.0", "airmass": 1.2, "exptime_s": 900.0}
    return Observation(
        product=product,
        field_cube=field_cube,
        exposures=tuple(
            Exposure(
                path=folder / f"e3d_{letter}.fits",
                look=Look(cube=cube, refraction=Refraction(east=still, north=still), exptime_s=900.0, offset=offset),
                facts=Facts(frame=f"ifu_{letter}", **facts),
                header=fits.Header() if header is None else header,
            )
            for letter, cube, offset in zip("AB", cubes, offsets, strict=False)
        ),
        inputs=inputs or Inputs(subject=Subject(name=product)),
    )


def make_pair(**changes):
    """A star at (3, -4) in A and (-3, 4) in B."""
    star_a, star_b = known_cube(((3.0, -4.0, 200.0),)), known_cube(((-3.0, 4.0, 200.0),), seed=2)
    return make_observation(star_a, star_b, **{"nod": NOD, **changes})


def make_header(name, day, **cards):
    """Cards of a raw frame."""
    header = fits.Header({"OBJECT": name, "NAME": name.split()[0], "EXPTIME": 900.0, "ADCSPEED": 0.1, "GAIN": 1.0})
    header.update({"JD": 2458646.5 + day, "AIRMASS": 1.3, "TEL_PA": 30.0, "DOMEST": "OPEN", "REQ_ID": 7})
    # the target, and where the telescope's encoder stood when it was in the field
    header.update({"OBJRA": "14:12:28.49", "OBJDEC": "+28:00:00.0", "RA": "14:12:20.74", "DEC": "+27:58:08.9"})
    header.update({"ABPAIR": name.endswith(("[A]", "[B]"))} | cards)
    return header


class NullView:
    """Counts what it was asked to show; keeps what was copied and opened outside, where a program may be missing."""

    def __init__(self, *, opens=True):
        self.shown = Counter()
        self.copied, self.opened, self.opens = [], [], opens

    def copy(self, text):
        self.copied.append(text)

    def show_outside(self, place):
        self.opened.append(place)
        return self.opens

    def changed(self, topic):
        self.shown.update([topic])


class LaterJobs:
    """Jobs that wait until they are asked for: what happens while the disk is slow."""

    def __init__(self):
        self.waiting = []

    def submit(self, lane, work, done, failed):
        self.waiting.append((lane, work, done, failed))

    def run(self, lane=None):
        """Do what waits, or what waits in one lane."""
        todo = [one for one in self.waiting if lane in (None, one[0])]
        self.waiting = [one for one in self.waiting if one not in todo]
        for _, work, done, failed in todo:
            Inline().submit("", work, done, failed)


_suggested: dict = {}


class Files:
    """A disk that never was: entries by name, observations as given, what was saved in a list."""

    def __init__(self, observations, **entries):
        self.observations = observations
        self.saved, self.drafts, self.settings, self.pages, self.besides = [], {}, {}, {}, {}
        self.list = [
            Entry(**{"product": name, "name": name, "cubes": one.paths, **entries.get(name, {})})
            for name, one in observations.items()
        ]

    def load(self, entry):
        return self.observations[entry.product]

    def stamp(self, entry):
        return self.observations[entry.product].stamp

    def suggest(self, observation):
        key = tuple(id(cube) for cube in observation.cubes)
        if key not in _suggested:  # the cubes are kept too, so that no other takes their numbers
            _suggested[key] = (suggest(observation), observation.cubes)
        return _suggested[key][0]

    def decision(self, entry):
        return None

    def save(self, observation, placement, verdict):
        self.saved.append((observation.product, placement, verdict))
        decision = saved.Decision(
            product=observation.product,
            saved_as=observation.product,
            night="20190612",
            target=observation.product,
            placement=placement,
            picture=verdict.picture,
            quality=verdict.quality,
            reducer=verdict.reducer,
            cubes=(),
        )
        return decision, (Path("x.txt"),)

    def entries(self):
        return list(self.list), []

    def draft(self, entry):
        return self.drafts.get(entry.product)

    def keep_draft(self, entry, draft):
        self.drafts[entry.product] = dict(draft)

    def drop_draft(self, entry):
        self.drafts.pop(entry.product, None)

    def keep_settings(self, **changes):
        self.settings |= changes

    def published(self, path):
        return read_published(path)

    def page(self, entry):
        return self.pages.get(entry.product)

    def beside(self, entry):
        return self.besides.get(entry.product, Beside())

    def night_page(self):
        return self.pages.get("night")


def make_presenter(*, pair=False, jobs=None, files=None, reducer="Ada", n=2, **entries):
    """A presenter on targets T0, T1 ..., the first one open."""
    if files is None:
        make = make_pair if pair else make_observation
        files = Files({f"T{number}": make(product=f"T{number}") for number in range(n)}, **entries)
    presenter = Presenter(files=files, jobs=jobs or Inline(), view=NullView(), reducer=reducer, clock=lambda: NOW)
    presenter.listing.refresh()
    if presenter.state.entries:
        presenter.opening.open(presenter.state.entries[0])
    return presenter


def presenter_on(folder, state, *, reducer="Ada", jobs=None):
    """A presenter on a real folder."""
    disk = NightOnDisk(NightList(folder), Memory(state), lambda: NOW)
    presenter = Presenter(files=disk, jobs=jobs or Inline(), view=NullView(), reducer=reducer, clock=lambda: NOW)
    presenter.listing.refresh()
    return presenter


def entry_of(presenter, product):
    """An entry of the list by name."""
    return next(entry for entry in presenter.state.entries if entry.product == product)


def do(presenter, keys):
    """Press keys that must mean something."""
    for key in keys.split():
        assert press(presenter, key) is not None, key


def die_of(content, edge):
    """A decoder that crashes."""
    os.kill(os.getpid(), signal.SIGSEGV)
