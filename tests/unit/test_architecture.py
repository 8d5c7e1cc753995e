"""The walls of the house: imports point one way, and what is public says what it does."""

import ast
from pathlib import Path

import pytest

import sedmd
import sedmview

SEDMD, SEDMVIEW = Path(sedmd.__file__).parent, Path(sedmview.__file__).parent
QT = ("PyQt5", "PyQt6", "PySide2", "PySide6", "pyqtgraph", "qtpy")
#: Longer than this a file has more than one purpose.
MAX_LINES = 550


def modules(folder, *, without=()):
    found = sorted(p for p in folder.rglob("*.py") if not any(p.is_relative_to(folder / w) for w in without))
    assert found, f"{folder} is gone: update the rule"
    return found


def imports(path):
    """Full names of the modules that a file imports, at any depth."""
    root = SEDMD.parent if path.is_relative_to(SEDMD) else SEDMVIEW.parent
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def within(name, packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def offenders(paths, forbidden, allowed=()):
    return [
        f"{path.name}: {name}"
        for path in paths
        for name in imports(path)
        if within(name, forbidden) and not within(name, allowed) and name not in ("sedmd",)
    ]


def test_reduction_knows_only_itself_and_the_instrument():
    allowed = ("sedmd.reduce", "sedmd.instrument")
    assert offenders(modules(SEDMD / "reduce"), ("sedmd", "sedmview", "logging", "astropy.io"), allowed) == []


def test_only_the_simulator_and_who_shows_it_know_the_simulator():
    others = modules(SEDMD, without=("simulate", "commands/practise.py", "demo.py")) + modules(SEDMVIEW)
    assert offenders(others, ("sedmd.simulate",)) == []


def test_simulator_does_not_know_the_reduction():
    # Scoring compares products with the truth, so it may read products; the frames must come from elsewhere.
    drawing = [p for p in modules(SEDMD / "simulate") if not p.name.startswith("score")]
    assert offenders(drawing, ("sedmd.reduce", "sedmd.steps", "sedmd.products")) == []


def test_pipeline_runs_without_a_screen():
    assert offenders(modules(SEDMD), (*QT, "sedmview")) == []


def test_model_and_presenter_of_the_viewer_know_no_window():
    drawn = ("qt.py", "worker.py", "colours.py", "hexmap.py", "field.py", "spectrumplot.py", "panels.py")
    drawn += ("layout.py", "window.py", "app.py")
    assert all((SEDMVIEW / name).exists() for name in drawn), "a part of the viewer was renamed: update the rule"
    paths = [path for path in modules(SEDMVIEW) if path.name not in drawn]
    windows = tuple(f"sedmview.{Path(name).stem}" for name in drawn)
    assert offenders(paths, (*QT, *windows)) == []


def test_data_and_products_know_no_step_and_no_daemon():
    paths = modules(SEDMD / "data") + modules(SEDMD / "products")
    assert offenders(paths, ("sedmd.steps", "sedmd.daemon", "sedmd.planner", "sedmd.ledger", "sedmd.config")) == []


@pytest.mark.parametrize("path", modules(SEDMD) + modules(SEDMVIEW), ids=lambda p: f"{p.parent.name}.{p.stem}")
def test_what_is_public_says_what_it_does(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize("folder", [SEDMD, SEDMVIEW], ids=lambda p: p.name)
def test_files_are_small(folder):
    long = {p.name: n for p in modules(folder) if (n := len(p.read_text(encoding="utf-8").splitlines())) > MAX_LINES}
    assert long == {}
