"""A small bank of templates for snid-sage, and spectra to classify, from what PyPI packages ship and simple physics.

Type Ia: the spectral energy distribution of Hsiao et al. (2007) in the wheel of ``byost``, as six objects that differ
in epochs, expansion velocity and colour. Types II, Ib and Ic: P Cygni profiles on a black body. Galaxies: a spectrum of
lines and a break. The bank has the layout that snid-sage 1.2 reads (an index and one HDF5 file for each type).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.ndimage import gaussian_filter1d

#: Grid of snid-sage's optical profile.
BINS, LOW, HIGH = 1024, 2500.0, 10000.0
STEP = np.log(HIGH / LOW) / BINS
GRID = LOW * np.exp((np.arange(BINS) + 0.5) * STEP)
#: Resolving power and bins of the instrument, Angstrom.
RESOLUTION, BIN, BLUE, RED = 100.0, 25.0, 3800.0, 9200.0
LIGHT_KMS = 299792.458


@dataclass(frozen=True)
class Template:
    """One object: its type, its subtype, and a spectrum (on `GRID`, flux density) for each age in days."""

    name: str
    type: str
    subtype: str
    epochs: tuple[tuple[float, np.ndarray], ...]


def hsiao_path() -> Path:
    """The SED in the installed wheel; found without importing it, which would want a plotting library."""
    found = importlib.util.find_spec("BYOST")
    assert found is not None and found.submodule_search_locations, "pip install --no-deps byost"
    return Path(found.submodule_search_locations[0]) / "files" / "Hsiao_SED_V3_Ia.fits"


def supernova_ia(wavelength: np.ndarray, age: float) -> np.ndarray:
    """Rest-frame flux density of a type Ia supernova, days from maximum light in B."""
    with fits.open(hsiao_path()) as hdul:
        header, data = hdul[0].header, np.asarray(hdul[0].data, float)
    grid = header["CRVAL1"] + header["CDELT1"] * np.arange(header["NAXIS1"])
    row = age - header["CRVAL2"]
    below = int(np.floor(row))
    part = row - below
    flux = (1 - part) * data[below] + part * data[min(below + 1, len(data) - 1)]
    return np.interp(wavelength, grid, flux) / np.interp(5500.0, grid, flux)


def black_body(wavelength: np.ndarray, kelvin: float) -> np.ndarray:
    """Planck's law, 1 at 5500 Angstrom."""

    def law(angstrom: np.ndarray | float) -> np.ndarray | float:
        return 1 / (angstrom**5 * np.expm1(1.4388e8 / (angstrom * kelvin)))

    return np.asarray(law(wavelength) / law(5500.0))


def p_cygni(wavelength: np.ndarray, lines: dict[float, float], kms: float) -> np.ndarray:
    """Factor of lines that absorb at -`kms` and emit at rest; strengths by rest wavelength."""
    factor = np.ones_like(wavelength)
    for rest, strength in lines.items():
        width = rest * kms / LIGHT_KMS
        factor += strength * np.exp(-0.5 * ((wavelength - rest) / (0.55 * width)) ** 2)
        factor -= 0.75 * strength * np.exp(-0.5 * ((wavelength - rest + width) / (0.35 * width)) ** 2)
    return np.clip(factor, 0.05, None)


def supernova_ii(wavelength: np.ndarray, age: float) -> np.ndarray:
    """Hydrogen, some helium, later calcium and iron, on a black body that cools."""
    late = np.clip(age / 60, 0, 1)
    lines = {6563: 0.5 + 0.8 * late, 4861: 0.35, 4340: 0.25, 5876: 0.25, 8579: 0.6 * late, 5169: 0.25 * late, 4102: 0.2}
    return black_body(wavelength, 12000 - 6000 * late) * p_cygni(wavelength, lines, 9000 - 4000 * late)


def supernova_ib(wavelength: np.ndarray, age: float) -> np.ndarray:
    """Helium, calcium, oxygen."""
    late = np.clip(age / 40, 0, 1)
    lines = {5876: 0.6, 6678: 0.3 + 0.2 * late, 7065: 0.4, 4471: 0.3, 8579: 0.5, 7774: 0.3 * late, 5015: 0.2}
    return black_body(wavelength, 8000 - 2500 * late) * p_cygni(wavelength, lines, 10000 - 3000 * late)


def supernova_ic(wavelength: np.ndarray, age: float) -> np.ndarray:
    """Iron, oxygen, calcium; no hydrogen, helium or strong silicon."""
    late = np.clip(age / 30, 0, 1)
    lines = {4560: 0.25, 5050: 0.35, 5892: 0.2 + 0.1 * late, 6355: 0.1, 7774: 0.35, 8579: 0.5 + 0.3 * late, 3945: 0.4}
    return black_body(wavelength, 7500 - 2000 * late) * p_cygni(wavelength, lines, 10500 - 2500 * late)


def galaxy(wavelength: np.ndarray, star_forming: float) -> np.ndarray:
    """Break at 4000 Angstrom and absorption of old stars, and the emission lines of young ones."""
    old = np.where(wavelength > 4000, 1.0, 0.55) * (wavelength / 5500.0) ** 0.3
    flux = gaussian_filter1d(old, 6.0)
    for rest, depth in {3934: 0.4, 3968: 0.4, 4304: 0.2, 5175: 0.2, 5893: 0.15, 5270: 0.1, 6563: 0.05}.items():
        flux *= 1 - depth * (1 - 0.6 * star_forming) * np.exp(-0.5 * ((wavelength - rest) / 25) ** 2)
    for rest, peak in {6563: 1.2, 5007: 0.9, 4959: 0.3, 4861: 0.4, 3727: 0.8, 6725: 0.4}.items():
        flux = flux + peak * star_forming * np.exp(-0.5 * ((wavelength - rest) / 22) ** 2)
    return np.asarray(flux)


def templates() -> list[Template]:
    """The bank's objects."""
    made = []
    for n, kms in enumerate((-700, -300, 0, 250, 500, 900)):
        ages = np.arange(-14.0 + n, 45.0, 5.0)
        bent = (GRID / 5500.0) ** (0.5 - 0.2 * n)
        epochs = tuple((float(age), supernova_ia(GRID * (1 + kms / LIGHT_KMS), float(age)) * bent) for age in ages)
        made.append(Template(f"ia{n}", "Ia", "Ia-norm", epochs))
    for n, kms in enumerate((-800, -300, 200, 700)):
        shifted = GRID * (1 + kms / LIGHT_KMS)
        ages = np.arange(5.0 + 3 * n, 75.0, 12.0)
        made.append(Template(f"ii{n}", "II", "IIP", tuple((float(a), supernova_ii(shifted, float(a))) for a in ages)))
        ages = np.arange(-5.0 + 3 * n, 35.0, 10.0)
        made.append(
            Template(f"ib{n}", "Ib", "Ib-norm", tuple((float(a), supernova_ib(shifted, float(a))) for a in ages))
        )
        ages = np.arange(-6.0 + 3 * n, 30.0, 9.0)
        made.append(
            Template(f"ic{n}", "Ic", "Ic-norm", tuple((float(a), supernova_ic(shifted, float(a))) for a in ages))
        )
    for n, part in enumerate((0.0, 0.3, 0.6, 1.0)):
        made.append(Template(f"gal{n}", "Galaxy", "Gal-S" if part else "Gal-E", ((0.0, galaxy(GRID, part)),)))
    return made


def flattened(flux: np.ndarray) -> np.ndarray:
    """What templates of a bank are: the continuum divided off, mean zero, as snid-sage itself does to a spectrum."""
    from snid_sage.snid.snid import preprocess_spectrum

    made, _ = preprocess_spectrum(input_spectrum=(GRID[2:-2], flux[2:-2]), apodize_percent=0, spike_masking=False)
    return np.nan_to_num(np.asarray(made["flat_flux"], float))


def write_bank(folder: Path) -> Path:
    """Write the bank, in a process with a home of its own: snid-sage writes settings into it, and talks a lot."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "MPLCONFIGDIR": home, "MPLBACKEND": "Agg"}
        command = [sys.executable, __file__, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def build(folder: Path) -> None:
    """Write the bank; needs snid-sage and h5py."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    grid = {"NW": BINS, "W0": LOW, "W1": HIGH, "DWLOG": STEP}
    index: dict = {"version": "2.0", "grid_rebinned": True, "grid_params": grid, "profile_id": "optical"}
    index |= {"templates": {}, "by_type": {}}
    bank = templates()
    for kind in dict.fromkeys(one.type for one in bank):
        ours = [one for one in bank if one.type == kind]
        name = f"templates_{kind}.hdf5"
        with h5py.File(folder / name, "w") as file:
            file.create_group("metadata").attrs.update({**grid, "grid_rebinned": True, "profile_id": "optical"})
            file["metadata"].create_dataset("standard_wavelength", data=GRID)
            for one in ours:
                group = file.create_group(f"templates/{one.name}")
                about = {"type": one.type, "subtype": one.subtype, "redshift": 0.0, "epochs": len(one.epochs)}
                index["templates"][one.name] = {**about, "storage_file": name}
                group.attrs.update({**about, "age": one.epochs[0][0], "rebinned": True})
                for n, (age, flux) in enumerate(one.epochs):
                    flat = flattened(flux)
                    places = [group] if n == 0 else []
                    if len(one.epochs) > 1:
                        places.append(group.create_group(f"epochs/epoch_{n}"))
                    for place in places:
                        transform = np.fft.fft(flat)
                        place.create_dataset("flux", data=flat)
                        place.create_dataset("fft_real", data=transform.real)
                        place.create_dataset("fft_imag", data=transform.imag)
                        place.attrs["age"] = age
        names = [one.name for one in ours]
        index["by_type"][kind] = {"count": len(ours), "storage_file": name, "template_names": names}
    index["template_count"] = len(bank)
    (folder / "template_index.json").write_text(json.dumps(index))


def observed(
    rest: np.ndarray, *, redshift: float, s_to_n: float, seed: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength, flux and error as the instrument sees a rest-frame spectrum on `FINE`, with this S/N in each bin."""
    smooth = gaussian_filter1d(rest, np.median(FINE) / RESOLUTION / 2.355 / (FINE[1] - FINE[0]))
    wavelength = np.arange(BLUE, RED, BIN)
    flux = np.interp(wavelength, FINE * (1 + redshift), smooth)
    error = np.full_like(flux, float(np.mean(flux)) / s_to_n)
    return wavelength, flux + np.random.default_rng(seed).normal(0, error), error


#: Rest wavelengths at which spectra are drawn, Angstrom.
FINE = np.arange(3000.0, 10000.0, 2.0)

if __name__ == "__main__":
    for window in ("PySide6", "pyqtgraph"):
        sys.modules[window] = None  # type: ignore[assignment]
    build(Path(sys.argv[1]))
