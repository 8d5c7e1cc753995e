"""Directive ``sedmd-rooms``: the packages and the way their imports point, as the tests of the architecture hold it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
RULES = ROOT / "tests" / "unit" / "test_architecture.py"
ROW, BOX, WIDTH = 24, 200, 640


@functools.cache
def rooms() -> tuple[str, ...]:
    """The rooms from the ground floor up, as ``ROOMS`` of the test has them.

    Raises
    ------
    LookupError
        If the test names them otherwise now.
    """
    for node in ast.parse(RULES.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [one.id for one in node.targets if isinstance(one, ast.Name)] == ["ROOMS"]:
            return tuple(ast.literal_eval(node.value))
    raise LookupError(f"{RULES} has no ROOMS: update the picture of the rooms")


def files(room: str) -> list[Path]:
    """The modules of a room; packages that are rooms themselves are not in it."""
    place = ROOT / Path(*room.split("."))
    if not place.is_dir():
        return [place.with_suffix(".py")]
    inner = [ROOT / Path(*one.split(".")) for one in rooms() if one.startswith(f"{room}.")]
    return sorted(one for one in place.rglob("*.py") if not any(one.is_relative_to(other) for other in inner))


def purpose(room: str) -> str:
    """What a room's docstring says, in one line."""
    place = ROOT / Path(*room.split("."))
    text = ast.get_docstring(ast.parse((place / "__init__.py" if place.is_dir() else files(room)[0]).read_text())) or ""
    return text.strip().splitlines()[0].removeprefix(f"{room}: ").replace("`", "") if text else ""


@functools.cache
def imports(room: str) -> set[str]:
    """The other rooms that a room imports from."""
    names: set[str] = set()
    for path in files(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    found = {
        max((one for one in rooms() if name == one or name.startswith(f"{one}.")), key=len, default="")
        for name in names
    }
    return found - {"", room}


def picture() -> str:
    """The rooms as floors of a house, the ground floor below; arcs to the right are imports, and all point down."""
    order = rooms()
    height = ROW * len(order) + 8
    y = {room: height - ROW * (number + 1) for number, room in enumerate(order)}
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="The rooms, from the ground floor up"'
        ' style="width:100%; max-width:46em; font: 12px sans-serif" fill="none" stroke-width="1">'
    ]
    for number, room in enumerate(order):
        parts.append(
            f'<rect x="2" y="{y[room]}" width="{BOX}" height="{ROW - 4}" rx="3" stroke="currentColor"/>'
            f'<text x="{10 + 12 * room.count(".")}" y="{y[room] + 14}" fill="currentColor">{room}</text>'
        )
        hue = 360 * number // len(order)
        for other in sorted(imports(room), key=order.index):
            top, bottom = y[room] + 10, y[other] + 10
            reach = BOX + min(560, 22 * (number - order.index(other)))
            parts.append(
                f'<path d="M {BOX + 4} {top} C {reach} {top}, {reach} {bottom}, {BOX + 4} {bottom}"'
                f' stroke="hsl({hue} 60% 50%)" opacity="0.55"><title>{room} imports {other}</title></path>'
            )
    return "".join([*parts, "</svg>"])


class Rooms(SphinxDirective):
    """The picture, and the same as a list for readers that show none."""

    def run(self) -> list[nodes.Node]:
        """The nodes."""
        told = nodes.bullet_list()
        for room in reversed(rooms()):
            item = nodes.list_item()
            text = nodes.paragraph()
            text += [nodes.literal(room, room), nodes.Text(f": {purpose(room)} Imports: ")]
            text += nodes.Text(", ".join(sorted(imports(room), key=rooms().index)) or "no other room")
            item += text
            told += item
        return [nodes.raw("", picture(), format="html"), told]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive("sedmd-rooms", Rooms)
    return {"parallel_read_safe": True}
