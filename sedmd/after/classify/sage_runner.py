"""Runs snid-sage on one spectrum and writes what it finds as JSON. A program of its own, for a process of its own.

    python sage_runner.py SPECTRUM TEMPLATES OUT.json REDSHIFT_MAX [quick]

It imports nothing of sedmd but its neighbour `sage_screen`: the python that has snid-sage may be another one. Toolkits
for windows are kept out: snid-sage would load them, and needs none to classify. Its clusters are not used, so what
makes them stays out too. ``quick``: the templates are read from what ``sedmd bank`` made of the bank.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import sys
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

#: So many of the best matches are reported, and so many of the best of the screen are asked about first.
TOLD, ASKED = 60, 90
ZMIN = -0.01
#: Toolkits for windows, and the part of snid-sage that finds clusters.
WINDOWS, CLUSTERS = ("PySide6", "pyqtgraph"), "snid_sage.snid.cosmological_clustering"
#: Written beside a bank by `sage_bank`.
FLUX, ROWS = "sedmd_flux.npy", "sedmd_templates.json"


class BankFault(Exception):
    """The bank does not hold what its index names."""


def main(arguments: Sequence[str]) -> int:
    """Classify; 0 when it ran, matches or not."""
    spectrum, templates, out, redshift_max = arguments[:4]
    for module in WINDOWS:
        sys.modules[module] = None  # type: ignore[assignment]
    sys.modules[CLUSTERS] = without_clusters()
    import snid_sage
    from snid_sage.snid.io import read_spectrum
    from snid_sage.snid.snid import preprocess_spectrum

    logging.disable(logging.WARNING)
    processed, _ = preprocess_spectrum(spectrum_path=spectrum, input_spectrum=read_spectrum(spectrum))
    try:
        read = quick_templates if "quick" in arguments[4:] else all_templates
        bank = read(Path(templates), processed["grid_params"])
    except BankFault as fault:
        print(fault)
        return 3
    scored, asked = search(bank, processed, float(redshift_max))
    values = {
        "version": str(snid_sage.__version__),
        "asked": asked,
        "bank": len(bank),
        "matches": [row(score, match) for score, match in scored[:TOLD]],
        "curve": curve(scored[0][1]) if scored else None,
    }
    temporary = Path(out + ".part")
    temporary.write_text(json.dumps(values, allow_nan=False), encoding="utf-8")
    temporary.replace(out)
    return 0


def without_clusters() -> types.ModuleType:
    """In place of the search for clusters, which has no part in the matches: it finds none."""
    module = types.ModuleType(CLUSTERS)
    none = {"success": False, "best_cluster": None, "reason": "not asked for"}
    module.perform_direct_gmm_clustering = lambda *_, **__: none  # type: ignore[attr-defined]
    return module


def all_templates(folder: Path, grid: dict[str, Any]) -> list[dict[str, Any]]:
    """Every spectrum of a bank, as snid-sage reads it.

    Raises
    ------
    BankFault
        A file is missing or damaged: snid-sage itself passes over it.
    """
    from snid_sage.snid.core.integration import load_templates_unified

    index = json.loads((folder / "template_index.json").read_text(encoding="utf-8"))
    named = sum(max(int(one.get("epochs", 1)), 1) for one in index.get("templates", {}).values())
    bank: list[dict[str, Any]] = load_templates_unified(str(folder), profile_id="optical")
    if not bank or len(bank) < named:
        msg = f"the bank {folder} gives {len(bank)} of the {named} spectra that its index names; run sedmd bank again"
        raise BankFault(msg)
    return bank


def quick_templates(folder: Path, grid: dict[str, Any]) -> list[dict[str, Any]]:
    """The same from the two files that `sage_bank` wrote.

    Raises
    ------
    BankFault
        Its wavelengths are not those of this snid-sage.
    """
    import numpy as np

    about = json.loads((folder / ROWS).read_text(encoding="utf-8"))
    flux = np.load(folder / FLUX, mmap_mode="r")
    same = flux.shape[1:] == (grid["NW"],) and all(
        math.isclose(grid[key], about["grid"][key], rel_tol=1e-6) for key in ("W0", "W1", "DWLOG")
    )
    if not same or len(flux) != len(about["rows"]):
        raise BankFault(f"the bank {folder} has another grid of wavelengths than this snid-sage, {grid}; get another")
    return [dict(one, flux=np.array(flux[n]), nepoch=1) for n, one in enumerate(about["rows"])]


def search(
    bank: list[dict[str, Any]], processed: dict[str, Any], redshift_max: float
) -> tuple[list[tuple[float, dict[str, Any]]], int]:
    """Matches over all types with their scores, best first, and how many templates snid-sage was asked about.

    Its `best_matches` are of the winning type only; who asks for agreement has to see the others too.
    """
    from snid_sage.shared.utils.math_utils import get_best_metric_value
    from snid_sage.snid.snid import run_snid_analysis

    def ask(some: list[dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
        result, _ = run_snid_analysis(
            processed, "", zmin=ZMIN, zmax=redshift_max, show_plots=False, preloaded_templates=some
        )
        scored = [(number(get_best_metric_value(match)) or 0.0, match) for match in result.all_matches]
        # snid-sage reads its files in no certain order
        return sorted((one for one in scored if one[0] > 0), key=lambda one: (-one[0], str(one[1].get("name", ""))))

    screened = screen_of(bank, processed, redshift_max) if len(bank) > ASKED else None
    if screened is not None:
        names, agrees = screened
        few = [one for one in bank if one["name"] in names]
        scored = ask(few)
        enough = len(scored) >= TOLD or len(few) < ASKED
        if enough and all(agrees(names[str(match["name"])], score) for score, match in scored):
            return scored, len(few)
    return ask(bank), len(bank)


def screen_of(bank: list[dict[str, Any]], processed: dict[str, Any], redshift_max: float) -> Any:
    """Scores of the best templates of the screen by name, and how they are compared; None: this version is unknown."""
    sys.path.append(str(Path(__file__).parent))
    try:
        import numpy as np
        from snid_sage.shared.profiles.bandpass import k_indices
        from snid_sage.snid.snid import get_profile

        screen = importlib.import_module("sage_screen")
        grid = processed["grid_params"]
        spectrum = screen.Prepared(
            flux=np.asarray(processed["tapered_flux"], float),
            left=int(processed["left_edge"]),
            right=int(processed["right_edge"]),
            step=float(grid["DWLOG"]),
            band=k_indices(int(grid["NW"]), get_profile("optical").bandpass),
            zmin=ZMIN,
            zmax=redshift_max,
        )
        flux = np.array([one["flux"] for one in bank], float)
        transform = np.fft.rfft(flux, axis=1)
        score, _ = screen.screen(spectrum, flux, transform)
    except (ImportError, AttributeError, KeyError, TypeError, ValueError) as error:
        print(f"all templates are asked about one by one, which takes a minute: {error}")
        return None
    order = np.argsort(-np.nan_to_num(score, nan=-1.0, posinf=np.inf), kind="stable")
    best = [int(n) for n in order[:ASKED] if score[n] > 0]
    best += [int(n) for n in np.flatnonzero(np.isinf(score)) if int(n) not in best]
    return {str(bank[n]["name"]): float(score[n]) for n in best}, screen.agrees


def row(score: float, match: dict[str, Any]) -> dict[str, Any]:
    """One match as plain values."""
    template = match.get("template", {})
    return {
        "template": str(template.get("name", "")).partition("_epoch_")[0],
        "type": str(template.get("type", "")),
        "subtype": str(template.get("subtype", "")),
        "age": number(template.get("age")),
        "score": score,
        "z": number(match.get("redshift")),
        "z_error": number(match.get("sigma_z")),
    }


def curve(match: dict[str, Any]) -> dict[str, list[float]] | None:
    """The template with the spectrum's continuum, at the redshift of the match."""
    flux = (match.get("spectra") or {}).get("flux") or {}
    pairs: Iterable[tuple[float | None, float | None]] = (
        (number(wavelength), number(value)) for wavelength, value in zip(flux.get("wave", ()), flux.get("flux", ()))
    )
    good = [(w, f) for w, f in pairs if w is not None and f is not None]
    return {"wavelength": [w for w, _ in good], "flux": [f for _, f in good]} if good else None


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
