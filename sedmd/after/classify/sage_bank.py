"""Checks a bank of templates of snid-sage, and writes it once more in a form that is read in a moment.

    python sage_bank.py BANK OUT.json

A program of its own: the python that has h5py may be another one than that of sedmd. Every file and every spectrum that
the index names is read. ``sedmd_flux.npy`` and ``sedmd_templates.json`` go beside the bank; what it found goes to OUT:
``faults``, or ``objects``, ``spectra`` and ``types``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INDEX, FLUX, ROWS = "template_index.json", "sedmd_flux.npy", "sedmd_templates.json"
#: So many faults are told; a bank that has more is no better known by them.
MOST_FAULTS = 20
GRID_KEYS = ("NW", "W0", "W1", "DWLOG")


def main(arguments: Sequence[str]) -> int:
    """Check and write; 0 when it ran, faults or not."""
    import numpy as np

    folder, out = Path(arguments[0]), Path(arguments[1])
    rows, spectra, faults, grid = read_bank(folder)
    if faults:
        out.write_text(json.dumps({"faults": faults[:MOST_FAULTS]}), encoding="utf-8")
        return 0
    np.save(folder / FLUX, np.array(spectra, float))
    (folder / ROWS).write_text(json.dumps({"grid": grid, "rows": rows}), encoding="utf-8")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    types = {kind: len(one["template_names"]) for kind, one in index["by_type"].items()}
    found = {"objects": len(index["templates"]), "spectra": len(rows), "types": types}
    out.write_text(json.dumps(found), encoding="utf-8")
    return 0


def read_bank(folder: Path) -> tuple[list[dict[str, Any]], list[Any], list[str], dict[str, float]]:
    """Rows and fluxes in the order of the index, what is wrong, and the grid of wavelengths."""
    import h5py
    import numpy as np

    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    grid = {key: float(index["grid_params"][key]) for key in GRID_KEYS}
    size = int(grid["NW"])
    rows: list[dict[str, Any]] = []
    spectra: list[Any] = []
    faults: list[str] = []
    files: dict[str, list[str]] = {}
    for name, about in index["templates"].items():
        files.setdefault(str(about["storage_file"]), []).append(name)
    for file_name, names in files.items():
        try:
            with h5py.File(folder / file_name, "r") as file:
                own = dict(file["metadata"].attrs)
                if any(not math.isclose(float(own.get(key, grid[key])), grid[key], rel_tol=1e-6) for key in GRID_KEYS):
                    faults.append(f"{file_name} has another grid of wavelengths than the index")
                    continue
                for name in names:
                    try:
                        added = list(spectra_of(name, file["templates"][name], size, np))
                        expected = max(int(index["templates"][name].get("epochs", 1)), 1)
                        if len(added) != expected:
                            raise ValueError(f"{len(added)} of {expected} spectra")
                    except (KeyError, ValueError, TypeError, OSError, RuntimeError) as error:
                        faults.append(f"{name} in {file_name}: {error}")
                        continue
                    rows += [row for row, _ in added]
                    spectra += [flux for _, flux in added]
        except (OSError, KeyError, RuntimeError) as error:
            faults.append(f"{file_name} cannot be read: {error}")
    return rows, spectra, faults, grid


def spectra_of(name: str, group: Any, size: int, np: Any) -> list[tuple[dict[str, Any], Any]]:
    """The spectra of one object, named and ordered as snid-sage names and orders them."""
    about = {key: plain(group.attrs.get(key)) for key in ("type", "subtype", "redshift")}
    epochs = group["epochs"] if "epochs" in group and int(group.attrs.get("epochs", 1)) > 1 else None
    parts = [group] if epochs is None else [epochs[key] for key in epochs]
    found = []
    for number, part in enumerate(parts):
        flux = np.asarray(part["flux"][:], float)
        if flux.shape != (size,) or not np.isfinite(flux).all():
            raise ValueError(f"a spectrum of {flux.shape} finite samples was expected to have {size}")
        own = name if epochs is None else f"{name}_epoch_{number}"
        found.append(({"name": own, **about, "age": plain(part.attrs.get("age", 0))}, flux))
    return found


def plain(value: Any) -> Any:
    """An attribute of HDF5 as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
