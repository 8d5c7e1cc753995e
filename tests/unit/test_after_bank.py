"""A bank of templates is installed whole or not at all, and a damaged one is told."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from sedmd.after.classify.bank import (
    INDEX,
    BankError,
    digest_of,
    files_of,
    install,
    is_quick,
    why_not_whole,
)
from sedmd.cli import main

GRID = {"NW": 64, "W0": 2500.0, "W1": 10000.0, "DWLOG": float(np.log(4.0) / 64)}
#: Objects: type, and the age of each spectrum.
OBJECTS = {"sn1994D": ("Ia", (-3.0, 0.0, 8.5)), "sn1999em": ("II", (20.0,)), "sn1998dt": ("Ib", (1.0, 2.0))}


def flux_of(name, n):
    return np.sin(np.arange(GRID["NW"]) * (1 + n + len(name)))


def write_bank(folder):
    """A bank in the layout of snid-sage."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {"version": "2.0", "grid_params": GRID, "templates": {}, "by_type": {}}
    for name, (kind, ages) in OBJECTS.items():
        file_name = f"templates_{kind}.hdf5"
        about = {"type": kind, "subtype": f"{kind}-norm", "redshift": 0.0, "epochs": len(ages)}
        index["templates"][name] = {**about, "storage_file": file_name}
        index["by_type"][kind] = {"count": 1, "storage_file": file_name, "template_names": [name]}
        with h5py.File(folder / file_name, "w") as file:
            file.create_group("metadata").attrs.update(GRID)
            group = file.create_group(f"templates/{name}")
            group.attrs.update({**about, "age": ages[0]})
            group["flux"] = flux_of(name, 0)
            for n, age in enumerate(ages if len(ages) > 1 else ()):
                group[f"epochs/epoch_{n}/flux"] = flux_of(name, n)
                group[f"epochs/epoch_{n}"].attrs["age"] = age
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def wheel(tmp_path, bank, leave_out=()):
    path = tmp_path / "snid_sage-0.9.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("snid_sage/__init__.py", "")
        for file in sorted(bank.iterdir()):
            if file.name not in leave_out:
                archive.write(file, f"snid_sage/templates/{file.name}")
    return path


@pytest.fixture
def bank(tmp_path):
    return write_bank(tmp_path / "given")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "banks" / "sage"


def change_index(bank, change):
    index = json.loads((bank / INDEX).read_text())
    change(index)
    (bank / INDEX).write_text(json.dumps(index))


@pytest.mark.parametrize("packed", [True, False], ids=["wheel", "folder"])
def test_every_spectrum_is_there_and_quick_to_read(tmp_path, bank, target, packed):
    found = install(wheel(tmp_path, bank) if packed else tmp_path / "given", target)
    assert (found.objects, found.spectra, found.types) == (3, 6, {"Ia": 1, "II": 1, "Ib": 1})
    assert why_not_whole(target) == "" and is_quick(target)
    rows = json.loads((target / "sedmd_templates.json").read_text())["rows"]
    flux = np.load(target / "sedmd_flux.npy")
    told = {row["name"]: (row["type"], row["age"]) for row in rows}
    assert told["sn1994D_epoch_2"] == ("Ia", 8.5) and told["sn1999em"] == ("II", 20.0)
    names = [row["name"] for row in rows]
    assert np.array_equal(flux[names.index("sn1994D_epoch_2")], flux_of("sn1994D", 2))
    assert [path.name for path in target.parent.iterdir()] == ["sage"]  # nothing is left beside it


def test_the_same_bank_is_the_same_and_a_byte_makes_another(tmp_path, bank, target):
    before = digest_of(install(bank, target).folder)
    assert digest_of(bank) == before
    install(bank, target)  # again, over itself
    assert digest_of(target) == before
    with h5py.File(target / "templates_Ia.hdf5", "r+") as file:
        file["templates/sn1994D/epochs/epoch_0/flux"][3] = 7.0
    assert digest_of(target) != before and not is_quick(target)


def test_a_quick_file_that_was_changed_is_not_believed(bank, target):
    install(bank, target)
    flux = np.load(target / "sedmd_flux.npy")
    np.save(target / "sedmd_flux.npy", flux + 1)
    assert not is_quick(target)


def damage(bank):
    (bank / "templates_Ib.hdf5").write_bytes((bank / "templates_Ib.hdf5").read_bytes()[:-2000])


def not_finite(bank):
    with h5py.File(bank / "templates_Ia.hdf5", "r+") as file:
        file["templates/sn1994D/epochs/epoch_1/flux"][0] = np.nan


def lost_epoch(bank):
    with h5py.File(bank / "templates_Ia.hdf5", "r+") as file:
        del file["templates/sn1994D/epochs/epoch_1"]


def lost_object(bank):
    with h5py.File(bank / "templates_II.hdf5", "r+") as file:
        del file["templates/sn1999em"]


def other_grid(bank):
    with h5py.File(bank / "templates_II.hdf5", "r+") as file:
        file["metadata"].attrs["W0"] = 3000.0


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damage, r"templates_Ib\.hdf5"),
        (not_finite, "sn1994D in templates_Ia.hdf5: a spectrum of .* finite samples"),
        (lost_epoch, "sn1994D in templates_Ia.hdf5: 2 of 3 spectra"),
        (lost_object, "sn1999em in templates_II.hdf5"),
        (other_grid, "templates_II.hdf5 has another grid"),
        (lambda bank: (bank / "templates_II.hdf5").unlink(), "lacks templates_II.hdf5"),
        (lambda bank: (bank / INDEX).write_text("{"), "cannot be read"),
        (lambda bank: (bank / INDEX).write_text("[]"), "not the index of a bank"),
    ],
)
def test_a_damaged_bank_is_refused_and_the_one_before_stays(tmp_path, bank, target, harm, said):
    install(write_bank(tmp_path / "good"), target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    harm(bank)
    with pytest.raises(BankError, match=said):
        install(bank, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in target.parent.iterdir()] == ["sage"]


def test_a_wheel_without_a_file_that_its_index_names(tmp_path, bank, target):
    with pytest.raises(BankError, match=r"lacks templates_II\.hdf5, which its index names"):
        install(wheel(tmp_path, bank, {"templates_II.hdf5"}), target)
    assert not target.exists()


def test_a_later_wheel_has_no_bank(tmp_path, bank, target):
    with pytest.raises(BankError, match=r"no bank of templates .* Wheels of snid-sage 0\.6\.1 to 0\.9\.0 have one"):
        install(wheel(tmp_path, bank, {path.name for path in bank.iterdir()}), target)


def test_what_is_no_archive(tmp_path, target):
    (tmp_path / "x.whl").write_text("hello")
    with pytest.raises(BankError, match="is damaged, or no wheel"):
        install(tmp_path / "x.whl", target)


@pytest.mark.parametrize("name", ["../x.hdf5", "/tmp/x.hdf5", "a/b.hdf5", "..", "", "C:\\bank\\x.hdf5", ".hidden"])
def test_an_index_reaches_no_file_elsewhere(bank, target, name):
    change_index(bank, lambda index: index["templates"]["sn1994D"].update(storage_file=name))
    with pytest.raises(BankError, match="expected names of files beside it"):
        files_of(json.loads((bank / INDEX).read_text()))
    with pytest.raises(BankError):
        install(bank, target)


def test_a_folder_with_something_else_is_not_replaced(bank, target):
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(BankError, match="is not empty and no bank"):
        install(bank, target)
    assert (target / "thesis.tex").read_text() == "years of work"


def test_the_command(bank, target, capsys):
    assert main(["bank", str(bank), "--to", str(target)]) == 0
    told = capsys.readouterr().out
    assert "3 objects, 6 spectra (Ia 1, II 1, Ib 1); every file is whole" in told
    assert f'sage_templates = "{target}"' in told
    assert main(["bank", str(bank)]) == 2 and "where to?" in capsys.readouterr().err
    assert main(["bank", str(bank / "nothing"), "--to", str(target)]) == 2
