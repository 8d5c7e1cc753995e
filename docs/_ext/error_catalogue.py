"""Directive ``sedmd-errors``: every error that sedmd raises on purpose, from the package's classes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles


def catalogue() -> list[type[Exception]]:
    """The classes of `sedmd.core.errors` and those of other modules that derive from them."""
    import sedmd
    from sedmd.core.errors import SedmError

    for found in pkgutil.walk_packages(sedmd.__path__, "sedmd."):
        # a module that runs as a program of its own has nothing to raise here
        if not found.name.endswith(("__main__", "sage_runner")):
            importlib.import_module(found.name)
    known: list[type[Exception]] = []

    def visit(kind: type[Exception]) -> None:
        if kind.__module__.startswith("sedmd") and kind not in known:
            known.append(kind)
            for child in sorted(
                kind.__subclasses__(), key=lambda one: (one.__module__ != kind.__module__, one.__name__)
            ):
                visit(child)

    visit(SedmError)
    return known


def lines() -> Iterator[str]:
    """The page: reStructuredText."""
    for kind in catalogue():
        title = kind.__name__
        parents = ", ".join(f"``{one.__name__}``" for one in kind.__bases__)
        yield from (title, "-" * len(title), "", *inspect.cleandoc(kind.__doc__ or "").splitlines(), "")
        code = getattr(kind, "exit_code", 2)
        yield from (f"Kind of {parents}, in ``{kind.__module__}``; exit code {code} when a command ends with it.", "")


class Errors(SphinxDirective):
    """Every error as a section."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        made = nodes.Element()
        nested_parse_with_titles(self.state, StringList(list(lines()), source="errors"), made)
        return made.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive("sedmd-errors", Errors)
    return {"parallel_read_safe": True}
