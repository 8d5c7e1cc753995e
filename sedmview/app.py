"""``sedmview [TARGET|CUBE ...] [--night YYYYMMDD] [--redux DIR]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sedmd.core.config import Settings, from_table
from sedmd.core.config import load as load_settings
from sedmd.core.errors import SedmError
from sedmview import finder
from sedmview.disk import NightOnDisk
from sedmview.memory import Memory, state_home
from sedmview.presenter import Presenter
from sedmview.targets import Entry, NightList, matching

if TYPE_CHECKING:
    from sedmview.window import Window

log = logging.getLogger("sedmview")

#: Name that is offered for the observer (the variable the pipeline before used).
REDUCER_VARIABLE = "SEDM_USER"
#: The redux root when none is given and the present directory is none.
REDUX_VARIABLE = "SEDM_REDUX"


class Unusable(SedmError):
    """The command line leads to nothing that can be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What the command line asks for: the night's folder, single cubes, names of targets, the pipeline's settings."""

    folder: Path
    cubes: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    settings: Settings | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window; returns the exit status: 0 after a normal end, 2 when there is nothing to show."""
    given = parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    # a bin without data is shown as one; numpy's words on it are for nobody who looks at the window
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    try:
        plan = plan_of(given, Path.cwd())
    except SedmError as error:
        print(f"sedmview: {error}", file=sys.stderr)
        return 2
    try:
        from sedmview.qt import QtWidgets
    except ImportError as error:
        print(f"sedmview: {error}; it needs PyQt5 or PySide6 and pyqtgraph: pip install 'sedmd[view]'", file=sys.stderr)
        return 2
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(sys.argv[:1])
    memory = Memory(state_home())
    window, close = build(
        plan,
        memory,
        reducer=given.reducer,
        finders=given.finders,
        slow=given.low_bandwidth,
        compare=given.compare,
    )
    window.show()
    window.parts.field.setFocus()
    run = getattr(application, "exec", None) or application.exec_
    status = int(run())
    close()
    return status


def build(
    plan: CommandLine,
    memory: Memory,
    *,
    reducer: str = "",
    finders: Path | None = None,
    slow: bool = False,
    compare: Path | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Window, Callable[[], None]]:
    """The window on a night, and what ends its work; needs a QApplication."""
    from sedmview.window import REDRAW_MS, SLOW_REDRAW_MS, Window
    from sedmview.worker import Lanes

    lanes = Lanes()
    disk = NightOnDisk(NightList(plan.folder, settings=plan.settings, cubes=plan.cubes or None), memory, clock)
    presenter = Presenter(
        files=disk,
        jobs=lanes,
        view=None,  # type: ignore[arg-type]  # the window puts itself in
        reducer=reducer or str(memory.settings().get("reducer", "")),
        links=plan.settings.links if plan.settings else None,
        clock=clock,
    )
    folders = finder.folders_of(plan.folder, finders)

    def find_finder(entry: Entry) -> finder.Finder | None:
        made = finder.find_finder(folders, entry.name, entry.start)
        if made is not None or entry.standard or not entry.cubes:
            return made
        cutouts = plan.settings.extraction.cutouts if plan.settings else None
        return finder.drawn_finder(entry.cubes[0], entry.name, cutouts)

    def note(action: str, target: str) -> None:
        lanes.submit(
            "notes",
            lambda: memory.log(user=presenter.state.reducer, night=plan.folder.name, target=target, action=action),
            lambda _: None,
            lambda error: log.warning("actions cannot be logged: %s", error),
        )

    def keep_sizes(sizes: dict[str, list[int]]) -> None:
        try:
            memory.keep_settings(sizes=sizes)
        except (OSError, SedmError) as error:
            log.warning("the size of the window cannot be kept: %s", error)

    window = Window(
        presenter,
        find_finder=find_finder,
        note=note,
        redraw_ms=SLOW_REDRAW_MS if slow else REDRAW_MS,
        sizes=memory.settings().get("sizes"),
        keep_sizes=keep_sizes,
    )
    window.setWindowTitle(f"sedmview {plan.folder.name}")
    if compare is not None:
        presenter.spectra.compare(compare)

    def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # PyQt would abort over an exception in a slot
        log.error("internal fault\n%s", "".join(traceback.format_exception(kind, error, trace)))
        window.show_fault(f"{kind.__name__}: {error}")

    sys.excepthook = fault

    def first(result: tuple[list[Entry], list[str]]) -> None:
        presenter.listing._listed(result)
        wanted = [entry for name in plan.names for entry in matching(presenter.state.entries, name)]
        unknown = [name for name in plan.names if not matching(presenter.state.entries, name)]
        if unknown:
            presenter.state.greeting = f"No target {', '.join(unknown)} in {plan.folder}"
        openable = next((entry for entry in wanted if entry.openable), None)
        if openable is not None:
            presenter.opening.open(openable)
        else:
            presenter.opening.open_first()
        window.follow()

    lanes.submit("list", disk.entries, first, presenter.listing._not_listed)

    def close() -> None:
        lanes.close()
        presenter.drafts.leave()  # after the lanes: an older draft must not come last
        sys.excepthook = sys.__excepthook__

    return window, close


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="sedmview", description="Scale a cube, place the apertures, grade the spectrum, go on to the next."
    )
    made.add_argument(
        "what",
        nargs="*",
        metavar="TARGET|CUBE",
        help="a target's name, cubes e3d_*.fits, or the folder of a night; by default the newest night's list",
    )
    made.add_argument("--night", metavar="YYYYMMDD", help="this night of the redux root (default: the newest)")
    made.add_argument(
        "--redux",
        type=Path,
        metavar="DIR",
        help=f"the redux root (default: ${REDUX_VARIABLE}, or where the present directory lies)",
    )
    made.add_argument("--config", type=Path, help="the service's configuration, if its state_dir is not redux/.sedmd")
    made.add_argument("--finders", type=Path, metavar="DIR", help="finder charts (default: beside the night)")
    made.add_argument(
        "--reducer", default=os.environ.get(REDUCER_VARIABLE, ""), help=f"your name (default: ${REDUCER_VARIABLE})"
    )
    made.add_argument("--compare", type=Path, metavar="FILE", help="lay this spectrum, as text, over the object's")
    made.add_argument("--low-bandwidth", action="store_true", help="draw 10 times a second instead of 30")
    return made


def plan_of(given: argparse.Namespace, here: Path) -> CommandLine:
    """What is to be shown.

    Raises
    ------
    Unusable
        No such folder, cube or night; the text says what was looked for.
    """
    paths = [Path(text) for text in given.what if "/" in text or text.endswith(".fits") or Path(text).is_dir()]
    names = tuple(text for text in given.what if Path(text) not in paths)
    folders = [path for path in paths if path.is_dir()]
    cubes = [path for path in paths if not path.is_dir()]
    if absent := [str(path) for path in cubes if not path.exists()]:
        raise Unusable(f"no file {', '.join(absent)}; give a cube e3d_*.fits, a target's name, or a night's folder")
    if len(folders) > 1 or (folders and cubes):
        raise Unusable("give one folder, or cubes, or names of targets")
    if cubes:
        folder = cubes[0].absolute().parent
        if any(cube.absolute().parent != folder for cube in cubes):
            raise Unusable("cubes of one folder only: what is saved goes beside them")
        return CommandLine(folder=folder, cubes=tuple(cube.absolute() for cube in cubes), names=names)
    settings = load_settings(given.config) if given.config else None
    root = given.redux or (folders[0] if folders else None)
    if root is None and settings is not None:
        root = settings.paths.redux_root
    folder = _night(_start(root, here), given.night)
    return CommandLine(folder=folder, names=names, settings=settings or _settings_at(folder.parent))


def _settings_at(root: Path) -> Settings:
    return from_table({"paths": {"raw_root": os.devnull, "redux_root": str(root)}}, origin="sedmview", base=root)


def _start(given: Path | None, here: Path) -> Path:
    if given is not None:
        if not given.is_dir():
            raise Unusable(f"no folder {given}; --redux takes the redux root that holds the nights")
        return given.absolute()
    variable = os.environ.get(REDUX_VARIABLE)
    if _is_night(here) or _nights(here):
        return here
    return Path(variable).absolute() if variable and Path(variable).is_dir() else here


def _night(place: Path, wanted: str | None) -> Path:
    if wanted is not None:
        for folder in (place / wanted, place.parent / wanted, place):
            if folder.name == wanted and folder.is_dir():
                return folder
        raise Unusable(f"no night {wanted} in {place}; there: {', '.join(_nights(place)[-5:]) or 'none'}")
    if _is_night(place):
        return place
    nights = _nights(place)
    if not nights:
        raise Unusable(f"no cube e3d_*.fits in {place}, and no night; give --redux, a cube, or a night's folder")
    return place / nights[-1]


def _is_night(folder: Path) -> bool:
    named = len(folder.name) == 8 and folder.name.isdigit()
    return named or any(folder.glob("e3d_*.fits"))


def _nights(root: Path) -> list[str]:
    return sorted(one.name for one in root.glob("[0-9]" * 8) if one.is_dir())


if __name__ == "__main__":
    sys.exit(main())
