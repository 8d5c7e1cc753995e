"""Classify a night: which spectra, by which engine, and what is written. Run again, it does only what is new."""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import sedmd
from sedmd.after.classify.classification import (
    CLASSIFIED,
    SUFFIX,
    TEMPLATE,
    Classification,
    ClassificationFault,
    find,
    inputs_of,
    of,
    path_of,
    read,
    saved_as,
    whole,
    write,
    write_copies,
)
from sedmd.after.classify.engine import Answer, BestTemplate, Classifier
from sedmd.after.classify.matches import Rule, fractions, judge, on_a_host
from sedmd.after.classify.sage import Sage
from sedmd.after.classify.snid import Snid
from sedmd.after.spectra import FinalSpectrum, final_spectra
from sedmd.core.config import Classify
from sedmd.core.errors import SedmError
from sedmd.core.patterns import first_match
from sedmd.host.files import sha256_of, write_bytes_atomic
from sedmd.observation.own_files import Known
from sedmd.products.plots.comparison import plot_comparison
from sedmd.products.spectrum import read_spectrum
from sedmd.reduce.numeric.containers import Spectrum


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Outcome of one spectrum.

    Attributes
    ----------
    product : str
    state : str
        "classified", "kept" (done before, nothing changed), "skipped", "waiting" (there is no engine),
        "would classify", "removed" (of a spectrum that is no more) or "failed".
    text : str
        One line for an operator.
    """

    product: str
    state: str
    text: str


def engines(settings: Classify) -> list[Classifier]:
    """The engines that the configuration allows, in the order in which they are tried."""
    snid = Snid(program=settings.snid_program, parameters=settings.snid_parameters, timeout_s=settings.timeout_s)
    sage = Sage(
        templates=settings.sage_templates,
        python=settings.sage_python,
        redshift_max=settings.sage_redshift_max,
        timeout_s=settings.timeout_s,
    )
    every: list[Classifier] = [snid, sage]
    return every if settings.engine == "auto" else [one for one in every if one.name == settings.engine]


def choose(candidates: Sequence[Classifier], name: str) -> tuple[Classifier | None, str]:
    """The first engine that can be used, or None and why none can."""
    if not candidates:
        return None, f'[classify] engine = "{name}": nothing is classified'
    reasons = []
    for engine in candidates:
        why = engine.available()
        if not why:
            return engine, ""
        reasons.append(f"{engine.name}: {why}")
    return None, "no engine to classify with. " + ". ".join(reasons)


def rule_of(settings: Classify, metric: str) -> Rule:
    """When a type is secure, from the configuration, for an engine with scores of this kind."""
    rlap = metric == "rlap"
    return Rule(
        best=settings.secure_best,
        least=settings.secure_least,
        weight=settings.secure_weight,
        score=settings.secure_rlap if rlap else settings.secure_hslap,
        unattended_ia=settings.secure_rlap_unattended if rlap else 0.0,
        contrast=settings.secure_contrast,
        z_apart=settings.secure_redshift_apart,
    )


def why_skipped(spectrum: FinalSpectrum, skip: Sequence[str]) -> str:
    """Why a spectrum is not classified; empty when it is."""
    if spectrum.standard:
        return "a standard star"
    if spectrum.quality not in (1, 2):
        return "not graded yet" if spectrum.quality == 0 else f"quality {spectrum.quality}"
    if rule := first_match(skip, spectrum.target):
        return f"its name is on the list of [classify] skip ({rule})"
    return "" if spectrum.calibrated else "not flux-calibrated"


def classify_night(
    folder: Path,
    settings: Classify,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    use: Sequence[Classifier] | None = None,
    known: Known | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_done: Callable[[Done], None] = lambda done: None,
) -> list[Done]:
    """Classify the spectra of a night that count.

    Parameters
    ----------
    folder : Path
        ``redux/YYYYMMDD``.
    settings : Classify
    overwrite : bool
        Do again what was done with the same spectrum, engine and parameters.
    dry_run : bool
        Only say what would be done.
    use : sequence of Classifier, optional
        Instead of those of the configuration.
    known : mapping, optional
        What ledger and decisions know; others' files are not classified.
    clock : callable
        The time of a record; nothing else depends on it.
    on_done : callable
        Gets each `Done` as it comes.

    Returns
    -------
    list of Done
    """
    spectra, errors = final_spectra(folder, known)
    engine, why_none = choose(engines(settings) if use is None else use, settings.engine)
    rule = rule_of(settings, "" if engine is None else engine.metric)
    done: list[Done] = []

    def tell(product: str, state: str, text: str) -> None:
        done.append(Done(product=product, state=state, text=text))
        on_done(done[-1])

    for trouble in errors:
        tell(trouble.split(" ", 1)[0], "failed", trouble)
    valid: set[str] = set()
    for spectrum in spectra:
        if why := why_skipped(spectrum, settings.skip):
            tell(spectrum.product, "skipped", why)
            continue
        try:
            before = of(spectrum)
            if before is not None:
                valid.add(before.saved_as)
            as_before = engine is None or (before is not None and before.identity == identity(engine, rule))
            if before is not None and as_before and not overwrite and whole(before, folder):
                tell(spectrum.product, "kept", before.line())
            elif engine is None:
                tell(spectrum.product, "waiting", why_none)
            elif dry_run:
                tell(spectrum.product, "would classify", f"with {engine.name}")
            else:
                made = classify_one(spectrum, engine, rule, clock=clock)
                valid.add(made.saved_as)
                tell(spectrum.product, "classified", made.line())
        except (SedmError, OSError) as fault:
            tell(spectrum.product, "failed", " ".join(str(fault).split()))
    if not dry_run:
        for name in _remove_stale(folder, valid):
            tell(name, "removed", "its spectrum no longer exists or no longer counts")
    return done


def identity(engine: Classifier, rule: Rule) -> tuple[str, ...]:
    """What a classification depends on besides the spectrum."""
    score = f"{rule.score:g}" + (f" ({rule.unattended_ia:g} for an unattended Ia)" if rule.unattended_ia else "")
    text = f"secure: {rule.least} of {rule.best}, weight {rule.weight:g}, score {score}, z {rule.z_apart:g}"
    text += f", contrast {rule.contrast:g}"
    return (*engine.identity(), text, f"sedmd {sedmd.__version__}")


def classify_one(
    spectrum: FinalSpectrum,
    engine: Classifier,
    rule: Rule,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Classification:
    """Classify one spectrum and write the plot, the copies, and the record last.

    Raises
    ------
    SedmError, OSError
        The engine failed, the spectrum is damaged, or the disk.
    """
    folder = spectrum.fits.parent
    inputs = inputs_of(spectrum)
    read_back, _ = read_spectrum(spectrum.fits)
    answer = ask(engine, read_back)
    with_host = None
    if read_back.host is not None:
        with_host = ask(engine, replace(read_back, flux=read_back.flux + read_back.host, host=None))
    made = summary(
        spectrum,
        engine,
        rule,
        answer,
        inputs=inputs,
        time=clock(),
        unattended=not spectrum.by_observer,
        with_host=with_host,
    )
    products = {}
    (folder / CLASSIFIED / f"{made.saved_as}{TEMPLATE}").unlink(missing_ok=True)  # of an earlier run
    if answer.curve is not None and made.type:
        name = f"{made.saved_as}_{made.type}.png"
        _remove_plots(folder, made.saved_as)
        products[name] = plot_comparison(
            folder / CLASSIFIED / name,
            read_back,
            answer.curve.wavelength,
            answer.curve.flux,
            title=f"{made.target}  {made.label}" + ("" if made.secure else "  (not secure)"),
            label=f"{made.template}  z={made.template_z:.4f}  {made.metric}={made.score:.1f}",
        )
        products |= _write_template(folder / CLASSIFIED, made, answer.curve)
    made = replace(made, products=products | write_copies(made, spectrum))
    write(made, folder)
    return made


def ask(engine: Classifier, spectrum: Spectrum) -> Answer:
    """What an engine says about a spectrum, in a folder that is gone afterwards. Raises EngineFault, OSError."""
    work = Path(tempfile.mkdtemp(prefix="sedmd-classify-"))
    try:
        return engine.classify(spectrum, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def summary(
    spectrum: FinalSpectrum,
    engine: Classifier,
    rule: Rule,
    answer: Answer,
    *,
    inputs: dict[str, str],
    time: datetime,
    unattended: bool = False,
    with_host: Answer | None = None,
) -> Classification:
    """What an engine's answer amounts to. The engine's own medians go before ours where it has them.

    `with_host`: of a target on a host, the answer about its spectrum with the host's light in it.
    """
    verdict = judge(answer.matches, rule, answer.missing, unattended=unattended)
    contrast, together = None, None
    if with_host is not None:
        given = spectrum.cards.get("CONTRAST")
        contrast = float(given) if isinstance(given, float | int) else 0.0
        together = judge(with_host.matches, rule, with_host.missing, unattended=unattended)
        verdict = on_a_host(verdict, together, contrast, rule)
    best = verdict.best
    return Classification(
        product=spectrum.product,
        saved_as=saved_as(spectrum),
        night=spectrum.night,
        target=spectrum.target,
        inputs=inputs,
        identity=identity(engine, rule),
        engine=engine.name,
        metric=engine.metric,
        type=verdict.group,
        secure=verdict.secure,
        why=verdict.why,
        label="" if best is None else best.label,
        template="" if best is None else best.template,
        score=None if best is None else _finite(best.score),
        template_z=None if best is None else _finite(best.z),
        template_age=None if best is None else _finite(best.age),
        z=_first(answer.z, verdict.z) if best is not None else None,
        z_error=_first(answer.z_error, verdict.z_error) if best is not None else None,
        age=_first(answer.age, verdict.age) if best is not None else None,
        age_error=_first(answer.age_error, verdict.age_error) if best is not None else None,
        agreeing=len(verdict.agreeing),
        asked=verdict.asked,
        contrast=contrast,
        type_with_host="" if together is None else together.group,
        fractions=dict(answer.fractions) or (fractions(answer.matches) if answer.matches else {}),
        time=time.astimezone(UTC).isoformat(timespec="seconds"),
    )


def _write_template(folder: Path, made: Classification, curve: BestTemplate) -> dict[str, str]:
    """The best template as text, for the observer's window: file name to SHA-256."""
    path = folder / f"{made.saved_as}{TEMPLATE}"
    known = np.isfinite(curve.wavelength) & np.isfinite(curve.flux)
    rows = "".join(
        f"{wavelength:.2f} {flux:.6g}\n"
        for wavelength, flux in zip(curve.wavelength[known], curve.flux[known], strict=True)
    )
    name = f"{made.template} {made.label} z={made.template_z:.4f}"
    write_bytes_atomic(f"# NAME: {name}\n# any unit; wavelength as observed [Angstrom]\n{rows}".encode(), path)
    return {path.name: sha256_of(path)}


def _remove_stale(folder: Path, valid: set[str]) -> list[str]:
    """Take away records, and what they wrote, that are not of a spectrum that counts as it is now."""
    removed = []
    for path in find(folder):
        name = path.name.removesuffix(SUFFIX)
        if name in valid:
            continue
        with contextlib.suppress(OSError, ClassificationFault):
            for product in read(path).products:
                (folder / CLASSIFIED / Path(product).name).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        removed.append(name)
    return removed


def _remove_plots(folder: Path, name: str) -> None:
    """The plot of an earlier run, which may have carried another type in its name."""
    with contextlib.suppress(OSError, ClassificationFault):
        for product in read(path_of(folder, name)).products:
            if product.endswith(".png"):
                (folder / CLASSIFIED / Path(product).name).unlink(missing_ok=True)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _first(*values: float | None) -> float | None:
    """The first that is a finite number."""
    return next((value for value in values if value is not None and math.isfinite(value)), None)
