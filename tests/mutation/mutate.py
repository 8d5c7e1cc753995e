"""Change the source in one place at a time and see whether a unit test notices: a sample, drawn for each room.

    python tests/mutation/mutate.py FOLDER cover                  # which test runs through which line
    python tests/mutation/mutate.py FOLDER run plan=60 traces=30  # draw mutants and test them, the first 60 of plan
    python tests/mutation/mutate.py FOLDER again TEST_FILE ...    # those that survived, by files with new tests
    python tests/mutation/mutate.py FOLDER table

The operators are those of cosmic-ray, the tests are run by this program: each mutant in a process forked from one that
has the libraries loaded, on a copy of the tree in FOLDER, by those tests only that run through the changed line and
then by the other tests of the same files. It needs `pip install cosmic-ray coverage`, which nothing else does.

A place in the source is drawn first, then one of the operators that apply there, so that an operator with many
variants (a comparison has seven) weighs no more than one with few. Not drawn are annotations, decorators, and changes
that no test is needed for: to an operator that the operands do not have, or to what is no Python.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Room by its short name -> folder under sedmd/.
ROOMS = {
    "plan": "plan",
    "observation": "observation",
    **{room: f"reduce/{room}" for room in ("numeric", "loops", "detector", "traces", "wavelength", "cube", "flux")},
    "target": "reduce/target",
    "guide": "reduce/guide",
}
SEED = 20261130
#: Seconds that the tests of a mutant took without it, at most; the quickest come first.
MOST_TIME = 15.0
#: Seconds of the processor that a process of tests may use; a loop that does not end is a mutant killed.
MOST_CPU = 90
LIBRARIES = ("numpy", "scipy.optimize", "scipy.ndimage", "scipy.interpolate", "scipy.stats", "scipy.signal")
LIBRARIES += ("scipy.spatial", "astropy.io.fits", "astropy.time", "astropy.coordinates", "numba", "matplotlib.figure")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change: `variant` is the count of the operator's places in the file."""

    room: str
    file: str
    line: int
    column: int
    operator: str
    variant: int


# -- what may be drawn ------------------------------------------------------------------------------------------------


def places(room: str) -> dict[tuple[str, int, int], list[Mutant]]:
    """Of a room, each place that an operator applies to, and the mutants that can be made there."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    found: dict[tuple[str, int, int], list[Mutant]] = {}
    classes = [(name, get_operator(name)) for name in operator_names() if makes_sense(name)]
    simple = [(name, operator()) for name, operator in classes if not operator.arguments()]
    for path in sorted((ROOT / "sedmd" / ROOMS[room]).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        nodes, never, file = list(ast_nodes(get_ast(source))), not_drawn(source), str(path.relative_to(ROOT))
        for name, operator in simple:
            starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
            for variant, (line, column) in enumerate(starts):
                if not any(begin <= (line, column) < end for begin, end in never):
                    one = Mutant(room=room, file=file, line=line, column=column, operator=name, variant=variant)
                    found.setdefault((file, line, column), []).append(one)
    return found


def makes_sense(operator: str) -> bool:
    """Whether an operator changes what a statement says, rather than making a statement that cannot be."""
    if operator.endswith("RemoveDecorator"):
        return False
    *_, before, after = operator.split("_") if "Operator_" in operator else ("", "")
    alike = [{"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}, {"BitOr", "BitAnd", "BitXor"}, {"Is", "IsNot"}]
    return all((before in group) == (after in group) for group in alike)


def not_drawn(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Begin and end of each annotation, and of what a decorator is given."""
    spans: list[ast.expr] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            spans.append(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            spans += node.decorator_list
            spans += [node.returns] if isinstance(node, ast.FunctionDef) and node.returns is not None else []
    return [((at.lineno, at.col_offset), (at.end_lineno or 0, at.end_col_offset or 0)) for at in spans]


def drawn(room: str, count: int) -> list[Mutant]:
    """The first `count` mutants of a room, in an order that hangs on the source alone."""
    chance = random.Random(f"{SEED} {room}")
    found = places(room)
    order = sorted(found)
    chance.shuffle(order)
    chosen = (chance.choice(found[place]) for place in order)
    return list(itertools.islice((one for one in chosen if compiles(changed(one))), count))


def drawn_once(folder: Path, room: str, count: int) -> list[Mutant]:
    """As `drawn`, kept in the folder: to look at every place of a room takes as long as some mutants' tests."""
    kept = folder / f"drawn-{room}.jsonl"
    mutants = [as_mutant(one) for one in read(kept)]
    if len(mutants) < count:
        mutants = drawn(room, count)
        kept.write_text("".join(json.dumps(asdict(one)) + "\n" for one in mutants), encoding="utf-8")
    return mutants[:count]


def compiles(source: str) -> bool:
    """Whether Python takes it: a mark of arguments by name only, or of powers of a table, looks like an operator."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def changed(mutant: Mutant) -> str:
    """The text of the file with the change.

    Raises
    ------
    ValueError
        The source is another one than that which the mutant was drawn from.
    """
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text = mutate_code(
        (ROOT / mutant.file).read_text(encoding="utf-8"), get_operator(mutant.operator)(), mutant.variant
    )
    if text is None:
        raise ValueError(f"{mutant.file} has no place {mutant.variant} for {mutant.operator}: draw again")
    return str(text)


# -- which tests run through a place ----------------------------------------------------------------------------------


class Covered:
    """Which unit tests run through which line, and how long each of them takes."""

    def __init__(self, folder: Path) -> None:
        from coverage import CoverageData

        data = CoverageData(str(folder / "lines"))
        data.read()
        self._lines: dict[str, dict[int, set[str]]] = {}
        for file in data.measured_files():
            name = str(Path(file).relative_to(tree_of(folder)))
            by_line = data.contexts_by_lineno(file)
            self._lines[name] = {line: {test for test in tests if test} for line, tests in by_line.items()}
        self.seconds = seconds_of(folder / "times.xml")
        self._trees = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in self._lines}

    def tests(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        """Those that run through the changed statement, then the others of the same files; the quickest first."""
        tree = self._trees[mutant.file]
        statement, function = around(tree, mutant.line)
        near = set() if function is None or statement is function else self._through(mutant.file, statement)
        if not near:
            names = [function.name] if function is not None else bound(statement)
            near = self._using(names) or set().union(*self._lines[mutant.file].values())
        files = {test.split("::")[0] for test in near}
        others = {test for test in self.seconds if test.split("::")[0] in files} - near
        return self._quickest(near), self._quickest(others)

    def _through(self, file: str, statement: ast.stmt) -> set[str]:
        last = statement.end_lineno or statement.lineno
        body = getattr(statement, "body", None)
        if body:
            last = max(statement.lineno, body[0].lineno - 1)
        lines = self._lines[file]
        return set().union(*(lines.get(line, set()) for line in range(statement.lineno, last + 1)))

    def _using(self, names: list[str]) -> set[str]:
        """Tests of the statements that use a name, also by way of a compiled loop, which coverage does not see."""
        found: set[str] = set()
        known, left = set(names), list(names)
        while left:
            name = left.pop()
            if name in self._in_loops:
                named = {file for file, text in self._texts.items() if re.search(rf"\b{name}\b", text)}
                found |= {test for test in self.seconds if test.split("::")[0] in named}
            for file, tree in self._trees.items():
                for node in ast.walk(tree):
                    called = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
                    if called != name:
                        continue
                    statement, function = around(tree, node.lineno)
                    found |= self._through(file, statement) if function is not None else set()
                    above = [function.name] if function is not None and "/loops/" in file else []
                    above += bound(statement) if function is None else []
                    left += [one for one in above if one not in known]
                    known |= set(above)
        return found

    @cached_property
    def _texts(self) -> dict[str, str]:
        files = {test.split("::")[0] for test in self.seconds}
        return {file: (ROOT / file).read_text(encoding="utf-8") for file in files}

    @cached_property
    def _in_loops(self) -> set[str]:
        loops = [tree for file, tree in self._trees.items() if "/loops/" in file]
        return {node.name for tree in loops for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    def _quickest(self, tests: set[str]) -> list[str]:
        """Those that fit into the time, the quickest first; the first of a file pays for what its tests share."""
        kept: list[str] = []
        begun: set[str] = set()
        left = MOST_TIME
        for test in sorted(tests & self.seconds.keys(), key=lambda test: (self.seconds[test], test)):
            file = test.split("::")[0]
            cost = self.seconds[test] if file in begun else self._longest[file]
            if cost <= left:
                left -= cost
                kept.append(test)
                begun.add(file)
        known = tests & self.seconds.keys()
        return kept or sorted(known, key=lambda test: (self._longest[test.split("::")[0]], self.seconds[test]))[:1]

    @cached_property
    def _longest(self) -> dict[str, float]:
        longest: dict[str, float] = {}
        for test, seconds in self.seconds.items():
            file = test.split("::")[0]
            longest[file] = max(longest.get(file, 0.0), seconds)
        return longest


def around(tree: ast.Module, line: int) -> tuple[ast.stmt, ast.FunctionDef | None]:
    """The innermost statement at a line, and the innermost function."""
    statement: ast.stmt = tree.body[0]
    function = None
    for node in ast.walk(tree):  # from the outside in
        if isinstance(node, ast.stmt):
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
            if first <= line <= (node.end_lineno or node.lineno):
                statement = node
                function = node if isinstance(node, ast.FunctionDef) else function
    return statement, function


def bound(statement: ast.stmt) -> list[str]:
    """Names that a statement outside functions gives a value to."""
    if isinstance(statement, ast.ClassDef):
        return [statement.name]
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def seconds_of(report: Path) -> dict[str, float]:
    """How long each test took, without those that did not pass."""
    seconds = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").replace(".", "/")
        if not len(case):
            seconds[f"{file}.py::{case.get('name')}"] = float(case.get("time", 0.0))
    return seconds


# -- running ----------------------------------------------------------------------------------------------------------


def cover(folder: Path, files: list[str]) -> None:
    """Copy the tree, run the unit tests once, note lines and times."""
    copy_tree(folder)
    for old in folder.glob("*.jsonl"):  # of another source
        old.unlink()
    settings = folder / "coverage.ini"
    sources = "\n    ".join(str(tree_of(folder) / "sedmd" / name) for name in ("reduce", "plan", "observation"))
    settings.write_text(f"[run]\nsource =\n    {sources}\ndata_file = {folder / 'lines'}\n", encoding="utf-8")
    words = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q", "-p", "contexts"]
    words += ["-p", "no:xdist", f"--junitxml={folder / 'times.xml'}", *(files or ["tests/unit"])]
    environment = surroundings(folder) | {"PYTHONPATH": os.pathsep.join([*paths(folder), str(Path(__file__).parent)])}
    os.chdir(tree_of(folder))
    os.execve(sys.executable, words, environment)


def copy_tree(folder: Path) -> None:
    """What tests look at, with the times of the files: numba keeps its code by them."""
    shutil.rmtree(folder / "tree", ignore_errors=True)
    unwanted = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".venv")
    shutil.copytree(ROOT, folder / "tree", ignore=unwanted)


def tree_of(folder: Path) -> Path:
    """The copy that is changed; by one name only, which numba and Python keep their code by."""
    return (folder / "tree").resolve()


def paths(folder: Path) -> list[str]:
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [
        str(tree_of(folder)),
        str(tree_of(folder) / "tests"),
        *(p for p in given if p and ROOT not in Path(p).parents),
    ]


def surroundings(folder: Path) -> dict[str, str]:
    own = {"PYTHONPYCACHEPREFIX": str(folder / "pyc"), "NUMBA_CACHE_DIR": str(folder / "loops")}
    own |= {"MPLBACKEND": "Agg"} | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return os.environ | own | {"PYTHONPATH": os.pathsep.join(paths(folder)), "QT_QPA_PLATFORM": "offscreen"}


def outcome(folder: Path, tests: list[str], most_cpu: int = MOST_CPU) -> str:
    """Of some tests in a process of their own: 'passed', 'failed', 'late', 'none'."""
    if not tests:
        return "none"
    if not (child := os.fork()):
        _test(folder, tests, most_cpu)
    end = time.monotonic() + 10 * most_cpu  # for those that wait for what does not come
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
            return "late" if late else "passed" if status == 0 else "failed"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "late"


def _test(folder: Path, tests: list[str], most_cpu: int) -> None:
    code = 99
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (most_cpu, most_cpu + 5))
        os.chdir(tree_of(folder))
        log = os.open(folder / "pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        import numba
        import pytest

        sys.dont_write_bytecode = True  # a mutant's code must not be found by the next
        numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(folder / "loops.mutant")
        sys.path[:0] = paths(folder)
        code = int(pytest.main(["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]))
    except BaseException:  # the process was forked from the middle of this program, which must not go on in it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def judged(folder: Path, mutant: Mutant, groups: tuple[list[str], ...]) -> dict[str, object]:
    """What became of a mutant, 'killed' or 'survived', by groups of tests, one after the other."""
    path = tree_of(folder) / mutant.file
    times = path.stat()
    text, begin = changed(mutant), time.monotonic()
    shutil.rmtree(folder / "loops.mutant", ignore_errors=True)
    shutil.copytree(folder / "loops", folder / "loops.mutant")
    path.write_text(text, encoding="utf-8")
    try:
        answer = "none"
        for tests in groups:
            if tests and answer in ("passed", "none"):
                answer = outcome(folder, tests)
    finally:
        shutil.copyfile(ROOT / mutant.file, path)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    lasted = round(time.monotonic() - begin, 1)
    end = "killed" if answer in ("failed", "late") else "survived"
    return asdict(mutant) | {"outcome": end, "answer": answer, "tests": sum(map(len, groups)), "seconds": lasted}


def run(folder: Path, mutants: list[Mutant], results: Path) -> None:
    """Test each mutant that has no result yet; a line of JSON each."""
    for library in LIBRARIES:
        __import__(library)
    covered = Covered(folder)
    known = {key(as_mutant(one)) for one in read(results)}
    quickest = {test.split("::")[0]: test for test in sorted(covered.seconds, key=lambda one: -covered.seconds[one])}
    shutil.copytree(folder / "loops", folder / "loops.mutant", dirs_exist_ok=True)
    if not known and outcome(folder, list(quickest.values()), 3600) != "passed":
        raise SystemExit(f"without a mutant the tests do not pass: {folder / 'pytest.log'}")
    for mutant in mutants:
        if key(mutant) not in known:
            note(results, judged(folder, mutant, covered.tests(mutant)))


def again(folder: Path, files: list[str], results: Path, new: Path) -> None:
    """Test those that survived by files of tests, or tests, as they are now: those that import the module."""
    for library in LIBRARIES:
        __import__(library)
    shutil.copytree(ROOT / "tests", tree_of(folder) / "tests", dirs_exist_ok=True)
    shutil.copytree(folder / "loops", folder / "loops.mutant", dirs_exist_ok=True)
    done = {key(as_mutant(one)) for one in read(new) if one["outcome"] == "killed"}
    if not done and outcome(folder, files, 3600) != "passed":
        raise SystemExit(f"without a mutant the tests do not pass: {folder / 'pytest.log'}")
    texts = {file: (ROOT / file.split("::")[0]).read_text(encoding="utf-8") for file in files}
    for one in read(results):
        module = str(one["file"]).removesuffix(".py").replace("/", ".")
        package, _, name = module.rpartition(".")
        imports = re.compile(rf"{re.escape(module)}\b|from {re.escape(package)} import .*\b{name}\b")
        importing = [file for file, text in texts.items() if imports.search(text)]
        if one["outcome"] == "survived" and importing and key(as_mutant(one)) not in done:
            note(new, judged(folder, as_mutant(one), (importing,)))


def note(results: Path, result: dict[str, object]) -> None:
    """Append a result to the file, and show it."""
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    print(result["outcome"], key(as_mutant(result)), result["tests"], result["seconds"], flush=True)


def as_mutant(result: dict[str, object]) -> Mutant:
    """The mutant of a result."""
    return Mutant(**{name: result[name] for name in Mutant.__annotations__})  # type: ignore[arg-type]


def key(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.line}:{mutant.column} {mutant.operator.removeprefix('core/')} {mutant.variant}"


def read(results: Path) -> Iterator[dict[str, object]]:
    if results.exists():
        yield from map(json.loads, results.read_text(encoding="utf-8").splitlines())


def table(results: Path) -> None:
    """Of each room: drawn, killed, survived."""
    count = Counter((one["room"], one["outcome"]) for one in read(results))
    for room in ROOMS:
        killed, survived = count[room, "killed"], count[room, "survived"]
        if drawn_ := killed + survived:
            print(f"| `{ROOMS[room]}` | {drawn_} | {killed} | {survived} | {survived / drawn_:.0%} |")


def main() -> None:
    """The command line; see the top of this file."""
    folder, what, words = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    first, second = folder / "results.jsonl", folder / "again.jsonl"
    os.environ.update(surroundings(folder))
    sys.pycache_prefix = str(folder / "pyc")
    sys.dont_write_bytecode = False
    if what == "cover":
        cover(folder, words)
    elif what == "run":
        counts = [word.partition("=") for word in words] or [(room, "", "30") for room in ROOMS]
        rooms = [drawn_once(folder, room, int(count)) for room, _, count in counts]
        in_turn = itertools.zip_longest(*rooms)  # so that a run that is broken off has some of each room
        run(folder, [one for some in in_turn for one in some if one is not None], first)
    elif what == "again":
        again(folder, words, first, second)
    elif what == "table":
        table(first)


if __name__ == "__main__":
    main()
