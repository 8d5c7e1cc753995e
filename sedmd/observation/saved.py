"""What an observer saves: the spectrum's three files and the decision, whole or not at all; and how to make them again.

The decision comes last and holds the checksums of the others: where it is, they are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import sedmd
from sedmd.core.errors import SedmError
from sedmd.core.job import Job
from sedmd.core.quality import OBSERVER, REDONE
from sedmd.host.files import sha256_of, sync_directory
from sedmd.host.sharing import how_to_save, make_folder, open_to_group, who_may_save
from sedmd.observation.aperture import Extraction, extract, with_grade
from sedmd.observation.decisions import FORMER, SUFFIX, Decision, Picture, Placement, from_json, read, to_json, write
from sedmd.observation.inputs import FLUXCAL, FluxSource
from sedmd.observation.load import Observation, load, stamp_of, with_inputs
from sedmd.plan.calibrations import age_nights
from sedmd.products.ascii import write_ascii
from sedmd.products.fitsio import card_value, primary_header
from sedmd.products.plots import ApertureMark, MapImage, plot_spectrum
from sedmd.products.provenance import provenance
from sedmd.products.spectrum import Field, write_spectrum
from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.numeric.hexagon import cell_vertices


class NotYours(SedmError):
    """This user may not write into the night's directory; the text says whose it is and who can change that."""


class ReplayFault(SedmError):
    """A decision cannot be replayed: its cubes or its calibration are not those it was taken on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the observer adds to a placement: how the field was looked at, quality, name."""

    picture: Picture
    quality: int
    reducer: str
    object_visible: bool = True
    partial: bool = False


def names(saved_as: str) -> tuple[str, str, str]:
    """File names of a spectrum: text, page, FITS."""
    return f"{saved_as}_SEDM.txt", f"{saved_as}_SEDM.pdf", f"sp_{saved_as}.fits"


def step_of(path: Path) -> str | None:
    """Step that made a spectrum; None when there is none, "" when it does not say or cannot be read."""
    try:
        return str(card_value(primary_header(path), "STEP") or "")
    except FileNotFoundError:
        return None
    except Exception:  # the border: a stray file may hold what it likes
        return ""


def name_for(folder: Path, product: str) -> str:
    """Name under which an observer's spectrum of an observation is saved."""
    return product if step_of(folder / names(product)[2]) in (None, OBSERVER) else product + REDONE


def save(
    observation: Observation,
    placement: Placement,
    verdict: Verdict,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Decision, tuple[Path, ...]]:
    """Extract, write the spectrum's files, and the decision last; an earlier version of the observer's is kept.

    Parameters
    ----------
    observation, placement, verdict
    clock : callable
        The time of the decision; nothing else depends on it.

    Returns
    -------
    decision : Decision
    paths : tuple of Path
        Text, page, FITS, decision.

    Raises
    ------
    NotYours
        This user may not write there.
    SedmError, OSError
        Bad grade or name, disk full or read-only. The former version is then still there.
    ValueError
        No spectrum can be made with this placement.
    """
    folder = observation.folder
    inputs = observation.inputs
    if observation.stamp and stamp_of(observation.paths, inputs.flux, inputs.guides) != observation.stamp:
        raise SedmError(
            "cube, flux calibration or guide product has changed on disk since it was opened; F5 opens it again"
        )
    saved_as = name_for(folder, observation.product)
    fluxcal = observation.calibration
    decision = Decision(
        product=observation.product,
        saved_as=saved_as,
        night=folder.name,
        target=str(observation.meta.get("target") or observation.product),
        placement=placement,
        picture=verdict.picture,
        quality=verdict.quality,
        reducer=verdict.reducer.strip(),
        cubes=tuple(map(_named, observation.paths)),
        fluxcal=None if fluxcal is None else _named(fluxcal.source.path),
        fluxcal_night=fluxcal.source.night if fluxcal is not None and fluxcal.source.fallback else "",
        guides=_guides(observation),
        subject=inputs.subject,
        object_visible=verdict.object_visible,
        partial=verdict.partial,
        time=clock().astimezone(UTC).isoformat(timespec="seconds"),
        versions={"sedmd": sedmd.__version__, "numpy": metadata.version("numpy"), "scipy": metadata.version("scipy")},
    )
    extraction = extract(observation, placement)
    with _written(observation, extraction, decision, folder) as made:
        decision = replace(decision, products={path.name: sha for path, sha in made.items()})
        from_json(to_json(decision), saved_as)  # complain before anything is changed
        keep_former(folder, saved_as)
    return decision, (*made, write(decision, folder))


def replay(path: Path, *, out: Path | None = None, new_inputs: bool = False) -> dict[str, str]:
    """Make the products of a saved decision again, without a window.

    Parameters
    ----------
    path : Path
        The decision; its cubes lie beside it (for a former version, beside the folder of former versions).
    out : Path, optional
        Folder for the products; by default where they were.
    new_inputs : bool
        Take the cubes and the flux calibration of today although they differ from those of the decision; the decision
        is then written again, and the version before is kept.

    Returns
    -------
    dict
        File name to "same bytes" or "new".

    Raises
    ------
    DecisionFault
        The decision cannot be read.
    ReplayFault
        A cube or the calibration is missing or is another one.
    """
    try:
        decision = read(path)
    except OSError as error:
        raise ReplayFault(f"{path}: {error.strerror or error}; give a file NAME.decision.json") from error
    home = path.parent.parent.parent if path.parent.parent.name == FORMER else path.parent
    if absent := [name for name, _ in decision.cubes if not (home / name).exists()]:
        raise ReplayFault(f"{path.name}: {', '.join(absent)} not in {home}; reduce the night again first")
    observation = _loaded(decision, home, new_inputs=new_inputs)
    cubes = tuple(map(_named, observation.paths))
    used = observation.calibration
    fluxcal = None if used is None else _named(used.source.path)
    guides = _guides(observation)
    changed = (cubes, fluxcal, guides) != (decision.cubes, decision.fluxcal, decision.guides)
    if changed and not new_inputs:
        raise ReplayFault(f"{path.name}: {_difference(decision, cubes, fluxcal, guides, home)}")
    target = out if out is not None else path.parent
    if step_of(target / names(decision.saved_as)[2]) not in (None, OBSERVER):
        raise ReplayFault(
            f"{names(decision.saved_as)[2]} in {target} was made by the pipeline and stays; give another folder (--out)"
        )
    with _written(observation, extract(observation, decision.placement), decision, target) as made:
        if changed and out is None:
            keep_former(target, decision.saved_as)
    if changed:
        products = {file.name: sha for file, sha in made.items()}
        night = used.source.night if used is not None and used.source.fallback else ""
        again = replace(decision, cubes=cubes, fluxcal=fluxcal, fluxcal_night=night, guides=guides, products=products)
        write(again, target)
    return {file.name: "same bytes" if decision.products.get(file.name) == sha else "new" for file, sha in made.items()}


def keep_former(folder: Path, saved_as: str) -> Path | None:
    """Keep what an observer saved before under this name, as ``former/<name>.vN/``; None if there was nothing.

    The files stay in place until the new ones take their names: at no moment is there none.
    """
    present = [folder / name for name in (*names(saved_as), f"{saved_as}{SUFFIX}") if (folder / name).exists()]
    if not present:
        return None
    number = 1 + max((_number(one.name) for one in (folder / FORMER).glob(f"{saved_as}.v*")), default=0)
    place = folder / FORMER / f"{saved_as}.v{number}"
    make_folder(place)
    for path in present:
        try:
            os.link(path, place / path.name)
        except OSError:  # a file system without links
            shutil.copy2(path, place / path.name)
    return place


def former_versions(folder: Path, saved_as: str) -> list[Path]:
    """Folders of the versions before, the oldest first."""
    return sorted((folder / FORMER).glob(f"{saved_as}.v*"), key=lambda one: _number(one.name))


def _number(name: str) -> int:
    with contextlib.suppress(ValueError):
        return int(name.rpartition(".v")[2])
    return 0


def _named(path: Path) -> tuple[str, str]:
    """Name and SHA-256 of a file."""
    return path.name, sha256_of(path)


def _guides(observation: Observation) -> tuple[tuple[str, str], ...]:
    """Names and SHA-256 of what guider frames tell of the exposures."""
    return tuple(_named(path) for path in observation.inputs.guides if path is not None)


def _loaded(decision: Decision, home: Path, *, new_inputs: bool) -> Observation:
    """The observation of a decision, with the flux calibration that it names, or (`new_inputs`) that of today."""
    observation = load(decision.product, [home / name for name, _ in decision.cubes])
    inputs = observation.inputs
    if not new_inputs:
        named = {name for name, _ in decision.guides}
        guides = tuple(one if one is not None and one.name in named else None for one in inputs.guides)
        inputs = replace(inputs, flux=_flux_of(decision, home), guides=guides if any(guides) else ())
    if decision.subject is not None:
        inputs = replace(inputs, subject=decision.subject)
    return with_inputs(observation, inputs)


def _flux_of(decision: Decision, home: Path) -> FluxSource | None:
    """The flux calibration of a decision: an earlier night's lies in that night's folder, beside this one's."""
    night = decision.fluxcal_night
    if night and decision.fluxcal is not None:
        path = home.parent / night / decision.fluxcal[0]
        try:
            age = age_nights(night, decision.night)
        except ValueError as error:
            raise ReplayFault(f"{decision.saved_as}: nights {night}, {decision.night}: {error}") from error
        return FluxSource(path=path, night=night, age_nights=age, fallback=True)
    own = home / FLUXCAL
    return FluxSource(path=own, night=home.name) if own.exists() else None


def _difference(
    decision: Decision,
    cubes: tuple[tuple[str, str], ...],
    fluxcal: tuple[str, str] | None,
    guides: tuple[tuple[str, str], ...],
    home: Path,
) -> str:
    for (file, wanted), (_, found) in zip(decision.cubes, cubes, strict=True):
        if wanted != found:
            return f"{file} in {home} is not the cube it was taken on; --new-inputs takes it"
    if guides != decision.guides:
        lost = [name for name, _ in decision.guides if name not in dict(guides)]
        what = f"{', '.join(lost)} is not in {home}" if lost else "what guider frames tell is not what it was taken on"
        return f"{what}; --new-inputs takes what there is today"
    was, now = ("none" if one is None else "another one" for one in (decision.fluxcal, fluxcal))
    was = was if was == "none" else f"another one, now there is {'none' if now == 'none' else 'this'}"
    return f"the flux calibration was {was}; --new-inputs takes what there is today"


@contextlib.contextmanager
def _written(
    observation: Observation, extraction: Extraction, decision: Decision, folder: Path
) -> Iterator[dict[Path, str]]:
    """The three files, whole, in a folder aside; at the end of the block they take their names. Path to SHA-256."""
    make_folder(folder)
    try:
        aside = Path(tempfile.mkdtemp(prefix=".sedmview-", dir=folder))
    except PermissionError:
        msg = f"you may not save into {folder} ({who_may_save(folder)}); {how_to_save(folder)}"
        raise NotYours(msg) from None
    try:
        made = _write(observation, extraction, decision, aside)
        yield {folder / path.name: sha for path, sha in made.items()}
        for path in made:
            path.replace(folder / path.name)
            open_to_group(folder / path.name)
        sync_directory(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(observation: Observation, extraction: Extraction, decision: Decision, folder: Path) -> dict[Path, str]:
    """The three files, the FITS last; path to SHA-256."""
    spectrum = with_grade(extraction.spectrum, decision.quality, decision.reducer)
    text, page, table = (folder / name for name in names(decision.saved_as))
    image = _picture(observation, decision.picture)
    used = observation.calibration
    inputs = {"cube": observation.paths} | ({} if used is None else {"fluxcal": (used.source.path,)})
    guides = tuple(path for path in observation.inputs.guides if path is not None)
    inputs |= {"guide": guides} if guides else {}
    options = {"placement": repr(decision.placement), "quality": decision.quality, "reducer": decision.reducer}
    job = Job(step=OBSERVER, night=decision.night, label=decision.saved_as, inputs=inputs, outputs={}, options=options)
    limits = (decision.picture.low, decision.picture.high)
    return {
        text: write_ascii(text, spectrum),
        page: plot_spectrum(
            page,
            spectrum,
            name=decision.saved_as,
            image=image,
            apertures=_marks(decision.placement),
            limits=limits if limits[0] < limits[1] else None,
        ),
        table: write_spectrum(
            table,
            spectrum,
            header=observation.header,
            cards={**extraction.cards, "OBJSEEN": (decision.object_visible, "the observer saw an object")},
            provenance=provenance(job),
            field=Field(
                x_arcsec=image.x_arcsec,
                y_arcsec=image.y_arcsec,
                values=image.values,
                corners=image.corners,
                label=f"{decision.picture.window[0]:.0f}-{decision.picture.window[1]:.0f} Angstrom",
            ),
        ),
    }


def _picture(observation: Observation, picture: Picture) -> MapImage:
    spaxels = observation.field_cube.spaxels
    low, high = picture.window
    return MapImage(
        x_arcsec=spaxels.x_arcsec,
        y_arcsec=spaxels.y_arcsec,
        values=collapse(observation.field_cube, low, high),
        corners=cell_vertices(spaxels),
        label=f"{low:.0f}-{high:.0f} Å",
    )


def _marks(placement: Placement) -> list[ApertureMark]:
    return [
        ApertureMark(
            x_arcsec=ellipse.x_arcsec,
            y_arcsec=ellipse.y_arcsec,
            semi_major_arcsec=ellipse.semi_major_arcsec,
            axis_ratio=ellipse.axis_ratio,
            angle_deg=ellipse.angle_deg,
            label=letter if placement.b is not None else "",
            negative=letter == "B",
        )
        for letter, ellipse in (("A", placement.a), ("B", placement.b))
        if ellipse is not None
    ]
