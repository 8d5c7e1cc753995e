"""`sedmd install-service`: what it writes below a prefix, what it leaves alone, and that the wheel has it all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sedmd.cli import main
from sedmd.commands.install_service import CONFIG, UNITS, filled_in, plan, units
from sedmd.core.config import load
from sedmd.core.errors import ConfigError
from sedmd.host.unit_file import last, parse_unit

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "systemd"
PROGRAM = str(Path(sys.executable).with_name("sedmd"))


def texts(prefix: Path) -> dict[str, str]:
    return {str(path.relative_to(prefix)): path.read_text() for path in sorted(prefix.rglob("*")) if path.is_file()}


def configure(prefix: Path, raw: str, redux: str) -> None:
    (prefix / CONFIG).parent.mkdir(parents=True)
    (prefix / CONFIG).write_text(f'[paths]\nraw_root = "{raw}"\nredux_root = "{redux}"\n')


def test_units_and_sample_are_written(tmp_path, capsys):
    assert main(["install-service", "--prefix", str(tmp_path)]) == 0
    there = texts(tmp_path)
    assert set(there) == {str(CONFIG), *(str(UNITS / path.name) for path in SYSTEMD.iterdir())}
    assert there[str(CONFIG)] == (ROOT / "config" / "sedmd.toml").read_text()
    for path in SYSTEMD.iterdir():
        assert there[str(UNITS / path.name)] == path.read_text().replace("/opt/sedmd/venv/bin/sedmd", PROGRAM)
    told = capsys.readouterr().out
    assert told.count("  written") == len(there) and "systemctl enable --now sedmd" in told
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o644}


def test_a_second_time_nothing_is_changed(tmp_path, capsys):
    main(["install-service", "--prefix", str(tmp_path)])
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    capsys.readouterr()
    assert main(["install-service", "--prefix", str(tmp_path), "--replace"]) == 0
    assert capsys.readouterr().out.count("  unchanged") == len(texts(tmp_path))
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    assert main(["install-service", "--prefix", str(tmp_path), "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "nothing was written" in capsys.readouterr().out


def test_a_configuration_is_never_overwritten_and_its_paths_go_into_the_units(tmp_path):
    configure(tmp_path, "/mnt/raw", "/mnt/out")
    before = (tmp_path / CONFIG).read_text()
    assert main(["install-service", "--prefix", str(tmp_path), "--replace"]) == 0
    assert (tmp_path / CONFIG).read_text() == before
    unit = parse_unit((tmp_path / UNITS / "sedmd.service").read_text())
    assert last(unit, "Unit", "RequiresMountsFor") == "/mnt/raw /mnt/out"
    assert last(unit, "Service", "ReadOnlyPaths") == "/mnt/raw"
    assert last(unit, "Service", "ReadWritePaths") == "/mnt/out"
    assert all("/data/sedm" not in line for text in texts(tmp_path / UNITS).values() for line in rules(text))


def rules(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_unit_that_was_changed_here_is_kept_until_it_is_to_be_replaced(tmp_path, capsys):
    main(["install-service", "--prefix", str(tmp_path)])
    unit = tmp_path / UNITS / "sedmd.service"
    shipped = unit.read_text()
    unit.write_text(shipped + "# ours\n")
    capsys.readouterr()
    main(["install-service", "--prefix", str(tmp_path)])
    assert unit.read_text().endswith("# ours\n")
    assert "sedmd.service  kept: it was changed here; --replace overwrites it" in capsys.readouterr().out
    main(["install-service", "--prefix", str(tmp_path), "--replace"])
    assert unit.read_text() == shipped


def test_one_root_in_the_place_of_the_other_is_not_replaced_twice():
    for name, text in units():
        if name == "sedmd.service":
            paths = paths_of("/data/sedm/redux/raw", "/data/sedm/raw")
            assert "RequiresMountsFor=/data/sedm/redux/raw /data/sedm/raw\n" in filled_in(text, Path("/x"), paths)


def paths_of(raw: str, redux: str):
    from sedmd.core.config import from_table

    table = {"paths": {"raw_root": raw, "redux_root": redux}}
    return from_table(table, origin="test", base=Path("/")).paths


def test_paths_with_spaces_and_percent_signs_are_written_as_systemd_reads_them(tmp_path, analyze):
    paths = paths_of("/mnt/my raw", "/mnt/100%")
    program = tmp_path / "sedmd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = []
    for name, text in units():
        made.append(tmp_path / name)
        made[-1].write_text(filled_in(text, program, paths))
    text = (tmp_path / "sedmd.service").read_text()
    assert 'RequiresMountsFor="/mnt/my raw" /mnt/100%%' in text
    done = analyze("verify", "--man=no", *made)
    assert [line for line in done.stderr.splitlines() if "sedmd" in line] == []


@pytest.mark.parametrize("name", ['/mnt/"raw"', "/mnt/back\\slash"])
def test_a_path_that_no_unit_can_hold_is_refused(name):
    with pytest.raises(ConfigError, match="cannot stand in a unit"):
        filled_in("ReadOnlyPaths=/data/sedm/raw\n", Path("/x"), paths_of(name, "/redux"))


def test_a_configuration_that_cannot_be_used_is_told_before_anything_is_written(tmp_path, capsys):
    (tmp_path / CONFIG).parent.mkdir(parents=True)
    (tmp_path / CONFIG).write_text("[paths")
    assert main(["install-service", "--prefix", str(tmp_path)]) == 2
    assert "not valid TOML" in capsys.readouterr().err
    assert not (tmp_path / UNITS).exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "etc").write_text("a file where a folder should be")
    assert main(["install-service", "--prefix", str(tmp_path)]) == 73
    assert "expected to be run as root" in capsys.readouterr().err


def test_the_sample_is_a_configuration(tmp_path):
    main(["install-service", "--prefix", str(tmp_path)])
    assert str(load(tmp_path / CONFIG).paths.raw_root) == "/data/sedm/raw"
    assert [one.action for one in plan(tmp_path, program=Path(PROGRAM), replace=False)] == ["same"] * (len(units()) + 1)


def test_the_wheel_holds_units_and_everything_else_that_is_no_python(tmp_path):
    """Built without a network, from a copy: a build writes into its source tree."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("sedmd", "sedmview", "systemd"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; build_meta.build_wheel('out')"
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, env=quiet)
    (wheel,) = (source / "out").glob("sedmd-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        there = set(packed.namelist())
        for path in SYSTEMD.iterdir():
            assert packed.read(f"sedmd/data/systemd/{path.name}") == path.read_bytes()
    data = {
        str(path.relative_to(source))
        for package in ("sedmd", "sedmview")
        for path in (source / package).rglob("*")
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    }
    assert data - there == set()
