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


#: The rooms of the house, from the ground floor up: a file imports from its own room and from those named before it,
#: never the other way. A package that is not named belongs to the room around it.
ROOMS = (
    "sedmd.core",
    "sedmd.data",
    "sedmd.host",
    "sedmd.raw",
    "sedmd.reduce.numeric",
    "sedmd.reduce.loops",
    "sedmd.reduce.detector",
    "sedmd.reduce.traces",
    "sedmd.reduce.wavelength",
    "sedmd.reduce.cube",
    "sedmd.reduce.flux",
    "sedmd.reduce.target",
    "sedmd.reduce.guide",
    "sedmd.products",
    "sedmd.workers",
    "sedmd.ledger",
    "sedmd.plan",
    "sedmd.observation",
    "sedmd.steps",
    "sedmd.run",
    "sedmd.reprocess",
    "sedmd.simulate",
    "sedmview",
    "sedmd.after",
    "sedmd.after.classify",
    "sedmd.after.deliver",
    "sedmd.after.report",
    "sedmd.after.web",
    "sedmd.daemon",
    "sedmd.doctor",
    "sedmd.commands",
    "sedmd.cli",
    "sedmd.__main__",
)
#: Who may know whom, where the floors alone would allow too much: room -> the only rooms that it imports from.
WALLS = {
    "sedmd.core": (),
    "sedmd.data": (),
    "sedmd.host": ("sedmd.core",),
    "sedmd.raw": ("sedmd.core", "sedmd.data", "sedmd.host"),
    "sedmd.reduce.guide": ("sedmd.core", "sedmd.reduce.numeric"),
    "sedmd.workers": ("sedmd.core", "sedmd.host"),
    "sedmd.ledger": ("sedmd.core", "sedmd.data", "sedmd.host", "sedmd.raw"),
    "sedmd.plan": ("sedmd.core", "sedmd.raw", "sedmd.ledger"),
}


def room_of(name):
    """The room of a module, or None for what is no part of the house (and for the package itself, which is empty)."""
    return max((room for room in ROOMS if within(name, (room,))), key=len, default=None)


def module_name(path):
    root = SEDMD.parent if path.is_relative_to(SEDMD) else SEDMVIEW.parent
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def within(name, packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def offenders(paths, forbidden, allowed=()):
    return [
        f"{module_name(path)}: {name}"
        for path in paths
        for name in imports(path)
        if within(name, forbidden) and not within(name, allowed) and name not in ("sedmd",)
    ]


def test_every_file_stands_in_a_room():
    empty = ("sedmd", "sedmd.reduce")
    names = [module_name(path) for path in modules(SEDMD) + modules(SEDMVIEW)]
    assert [name for name in names if room_of(name) is None and name not in empty] == []
    assert [room for room in ROOMS if not any(within(name, (room,)) for name in names)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_down(room):
    paths = [path for path in modules(SEDMD) + modules(SEDMVIEW) if room_of(module_name(path)) == room]
    below = ROOMS[: ROOMS.index(room) + 1]
    up = [f"{module_name(p)}: {name}" for p in paths for name in imports(p) if room_of(name) not in (*below, None)]
    assert up == []


@pytest.mark.parametrize("room", WALLS)
def test_rooms_keep_to_themselves(room):
    paths = [path for path in modules(SEDMD) if room_of(module_name(path)) == room]
    known = (room, *WALLS[room], None)
    assert [f"{module_name(p)}: {name}" for p in paths for name in imports(p) if room_of(name) not in known] == []


def test_no_two_files_import_each_other():
    names = {module_name(path): path for path in modules(SEDMD) + modules(SEDMVIEW)}
    files = {name for name, path in names.items() if path.name != "__init__.py"}  # a package's face is no purpose
    known = {name: {other for other in imports(path) if other in files} - {name} for name, path in names.items()}
    done, circles = set(), []

    def visit(name, above):
        if name in above:
            circles.append((*above[above.index(name) :], name))
        elif name not in done:
            for other in known[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in names:
        visit(name, ())
    assert circles == []


def test_reduction_knows_only_itself_and_the_instrument():
    allowed = ("sedmd.reduce", "sedmd.core.instrument")
    assert offenders(modules(SEDMD / "reduce"), ("sedmd", "sedmview", "logging", "astropy.io"), allowed) == []


def test_only_who_shows_the_simulator_knows_it():
    # a command may show it; nothing that reduces, watches or sends may
    others = modules(SEDMD, without=("simulate", "commands")) + modules(SEDMVIEW)
    assert offenders(others, ("sedmd.simulate",)) == []
    knowing = {path.name for path in modules(SEDMD / "commands") if offenders([path], ("sedmd.simulate",))}
    assert knowing == {"simulate.py", "demo.py", "validate.py"}


def test_simulator_does_not_know_the_reduction():
    # Scoring compares products with the truth, so it may read products; the frames must come from elsewhere.
    drawing = [p for p in modules(SEDMD / "simulate") if not p.name.startswith("score")]
    assert offenders(drawing, ("sedmd.reduce", "sedmd.steps", "sedmd.products")) == []


def test_pipeline_runs_without_a_screen():
    assert offenders(modules(SEDMD), (*QT, "sedmview")) == []


def test_model_and_presenter_of_the_viewer_know_no_window():
    drawn = ("qt.py", "worker.py", "colours.py", "hexmap.py", "field.py", "spectrumplot.py", "panels.py")
    drawn += ("marks.py", "findbox.py", "layout.py", "window.py", "app.py")
    drawn += ("layout.py", "window.py", "app.py", "linemarks.py", "skystrip.py", "paragraph.py")
    drawn += ("finderchart.py", "finderside.py")
    assert all((SEDMVIEW / name).exists() for name in drawn), "a part of the viewer was renamed: update the rule"
    paths = [path for path in modules(SEDMVIEW) if path.name not in drawn]
    windows = tuple(f"sedmview.{Path(name).stem}" for name in drawn)
    assert offenders(paths, (*QT, *windows)) == []


def test_the_presenter_is_made_of_parts_and_none_of_them_of_another():
    """No class of the viewer's model and presenter is built upon another one, and none does everything."""
    most, found, large = 24, [], {}
    parts = ("state", "desk", "history", "spectra", "listing", "opening", "looking", "placing", "saving", "presenter")
    for path in (SEDMVIEW / f"{part}.py" for part in parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found += [f"{node.name}({ast.unparse(base)})" for base in node.bases if ast.unparse(base) != "Protocol"]
                methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
                large |= {node.name: len(methods)} if len(methods) > most else {}
    assert (found, large) == ([], {})


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


def test_a_class_name_means_one_class():
    places = {}
    for path in modules(SEDMD) + modules(SEDMVIEW):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module_name(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
