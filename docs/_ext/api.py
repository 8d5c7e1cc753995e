"""Directive ``sedmd-api``: the public functions and classes of every module of a package, by autodoc."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles


def modules(package: str) -> list[str]:
    """A package's modules that hold something, in the order of their names."""
    found = importlib.import_module(package)
    if not hasattr(found, "__path__"):
        return [package]
    return sorted(one.name for one in pkgutil.walk_packages(found.__path__, f"{package}.") if not one.ispkg)


def lines(package: str) -> Iterator[str]:
    """The page: reStructuredText."""
    for name in modules(package):
        yield from (name, "-" * len(name), "", f".. automodule:: {name}", "")


class Api(SphinxDirective):
    """Every module as a section."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The sections."""
        made = nodes.Element()
        nested_parse_with_titles(self.state, StringList(list(lines(self.arguments[0])), source="api"), made)
        return made.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive("sedmd-api", Api)
    return {"parallel_read_safe": True}
