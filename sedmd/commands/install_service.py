"""The command that installs what ships with the package on a machine: systemd's units and a sample configuration."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sedmd.core.config import Paths, load, pages
from sedmd.core.errors import ConfigError, NotWritten
from sedmd.host.files import write_bytes_atomic

Add = Callable[..., argparse.ArgumentParser]
#: Below the prefix: where systemd looks for units of the machine, and the configuration that they name.
UNITS, CONFIG = Path("etc/systemd/system"), Path("etc/sedmd/sedmd.toml")
#: What stands in the units that ship: the program, and the roots of the sample configuration.
SHIPPED_PROGRAM = "/opt/sedmd/venv/bin/sedmd"
SHIPPED_RAW, SHIPPED_REDUX = "/data/sedm/raw", "/data/sedm/redux"
#: Lines of a unit that name the roots.
ROOT_LINES = re.compile(r"^(RequiresMountsFor|ReadOnlyPaths|ReadWritePaths)=.*$", re.MULTILINE)
NEXT_STEPS = """\
next steps:
  1. a user sedm who may read the raw root and write the redux root (useradd -r sedm), and both paths in
     {config}; sedmd config check --config {config}
  2. sedmd install-service --replace   (the units again, with these paths)
  3. {program} doctor --config {config}
  4. systemctl daemon-reload && systemctl enable --now sedmd
  5. once [upload] or [mail] is set: systemctl enable --now sedmd-upload.timer, sedmd-alert.timer,
     sedmd-final-report.timer; without [after] also sedmd-publish.timer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One file that belongs on the machine: its place, its text, and what is done with it."""

    path: Path
    text: str
    #: "write", "replace", "same" or "keep"
    action: str

    def line(self) -> str:
        """For a person."""
        told = {
            "write": "written",
            "replace": "replaced",
            "same": "unchanged",
            "keep": "kept: it was changed here; --replace overwrites it",
        }
        if self.action == "keep" and self.path.suffix == ".toml":
            return f"{self.path}  kept: a configuration is never overwritten"
        return f"{self.path}  {told[self.action]}"


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("install-service", verb_install_service)
    command.add_argument(
        "--prefix", metavar="DIR", type=Path, default=Path("/"), help="install below this root (default /)"
    )
    command.add_argument("--replace", action="store_true", help="overwrite units that were changed on this machine")
    command.add_argument("--dry-run", action="store_true", help="only say what would be done")


def verb_install_service(options: argparse.Namespace) -> int:
    """Install systemd's units and a sample configuration, and say the next steps; nothing is started.

    A configuration that is there is never overwritten; its paths go into the units.
    """
    program = Path(sys.executable).with_name("sedmd")
    placed = plan(options.prefix, program=program, replace=options.replace)
    for one in placed:
        print(one.line(), flush=True)
        if one.action in ("write", "replace") and not options.dry_run:
            _write(one)
    print(NEXT_STEPS.format(config=Path("/") / CONFIG, program=program))
    if options.dry_run:
        print("nothing was written: --dry-run")
    return 0


def plan(prefix: Path, *, program: Path, replace: bool) -> tuple[Placed, ...]:
    """What belongs below a prefix, against what is there.

    Raises
    ------
    ConfigError
        If the configuration that is there cannot be used.
    """
    config = prefix / CONFIG
    paths = load(config).paths if config.exists() else None
    placed = [_against(prefix / UNITS / name, filled_in(text, program, paths), replace) for name, text in units()]
    return (*placed, _against(config, pages.sample(), replace=False))


def units() -> Sequence[tuple[str, str]]:
    """Names and texts of the units that ship with the package."""
    folder = files("sedmd.data") / "systemd"
    found = [one for one in folder.iterdir() if one.name.endswith((".service", ".timer"))]
    return sorted((one.name, one.read_text(encoding="utf-8")) for one in found)


def filled_in(text: str, program: Path, paths: Paths | None) -> str:
    """A unit that starts this program, with the roots of a configuration in the lines that lock and unlock them.

    Raises
    ------
    ConfigError
        If a root's name cannot stand in a unit.
    """
    text = text.replace(SHIPPED_PROGRAM, _quoted(program))
    if paths is None:
        return text
    roots = {SHIPPED_RAW: _quoted(paths.raw_root), SHIPPED_REDUX: _quoted(paths.redux_root)}
    pattern = re.compile("|".join(map(re.escape, roots)))
    return ROOT_LINES.sub(lambda line: pattern.sub(lambda root: roots[root[0]], line[0]), text)


def _quoted(path: Path) -> str:
    """A path as systemd reads it."""
    text = str(path)
    if re.search(r"[\"'\\\n]", text):
        raise ConfigError(f"{text!r} cannot stand in a unit of systemd; expected a path without quotes and backslashes")
    text = text.replace("%", "%%")
    return f'"{text}"' if re.search(r"\s", text) else text


def _against(path: Path, text: str, replace: bool) -> Placed:
    try:
        there = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        action = "write"
    except (OSError, UnicodeDecodeError) as error:
        raise NotWritten(f"{path} cannot be read ({error}); expected to be run as root") from error
    else:
        action = "same" if there == text else "replace" if replace else "keep"
    return Placed(path=path, text=text, action=action)


def _write(one: Placed) -> None:
    try:
        one.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(one.text.encode(), one.path)
        one.path.chmod(0o644)
    except OSError as error:
        raise NotWritten(f"{one.path} cannot be written ({error.strerror}); expected to be run as root") from error
