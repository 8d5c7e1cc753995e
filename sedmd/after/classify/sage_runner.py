"""Runs snid-sage on one spectrum and writes what it finds as JSON. A program of its own, for a process of its own.

    python sage_runner.py SPECTRUM TEMPLATES OUT.json REDSHIFT_MAX

It imports nothing of sedmd: the python that has snid-sage may be another one. Toolkits for windows are kept out:
snid-sage would load them, and needs none to classify.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

#: So many of the best matches are reported.
TOLD = 60


def main(arguments: list[str]) -> int:
    """Classify; 0 when it ran, matches or not."""
    spectrum, templates, out, redshift_max = arguments
    for window in ("PySide6", "pyqtgraph"):
        sys.modules[window] = None  # type: ignore[assignment]
    import snid_sage
    from snid_sage.shared.utils.math_utils import get_best_metric_value
    from snid_sage.snid.snid import run_snid

    logging.disable(logging.WARNING)
    # its `best_matches` are of the winning type only; who asks for agreement has to see the others too
    result, _ = run_snid(spectrum, templates, zmin=-0.01, zmax=float(redshift_max), show_plots=False)
    scored = [(number(get_best_metric_value(match)) or 0.0, match) for match in result.all_matches]
    scored = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
    values = {
        "version": str(snid_sage.__version__),
        "matches": [row(score, match) for score, match in scored[:TOLD]],
        "curve": curve(scored[0][1]) if scored else None,
    }
    temporary = Path(out + ".part")
    temporary.write_text(json.dumps(values, allow_nan=False), encoding="utf-8")
    temporary.replace(out)
    return 0


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
    pairs = [
        (number(wavelength), number(value)) for wavelength, value in zip(flux.get("wave", ()), flux.get("flux", ()))
    ]
    good = [pair for pair in pairs if None not in pair]
    return {"wavelength": [w for w, _ in good], "flux": [f for _, f in good]} if good else None  # type: ignore[misc]


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
