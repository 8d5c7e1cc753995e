"""Directive ``sedmd-commands``: every command with its options, from the declaration that argparse is given."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

#: Width of the help texts, so that they do not depend on the terminal that builds the page.
COLUMNS = 100


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Each command's name and its parser."""
    from sedmd.cli import parser

    (action,) = (one for one in parser()._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)


def lines() -> Iterator[str]:
    """The page: reStructuredText."""
    from sedmd.cli import EXIT_CODES
    from sedmview.app import parser as viewer

    yield from ("Exit codes", "----------", "", "::", "", *_indented(EXIT_CODES), "")
    for name, parser in verbs().items():
        yield from _section(f"sedmd {name}", parser)
    yield from _section("sedmview", viewer())


def _section(title: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    first, _, rest = (parser.description or "").partition("\n")
    yield from (title, "-" * len(title), "", first, "", *rest.splitlines(), "")
    parser.description = parser.epilog = None
    yield from ("::", "", *_indented(parser.format_help()), "")


def _indented(text: str) -> list[str]:
    return [f"   {line}" if line else "" for line in text.strip().splitlines()]


class Commands(SphinxDirective):
    """Every command as a section."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        before = {name: os.environ.get(name) for name in ("COLUMNS", "NO_COLOR")}
        os.environ.update(COLUMNS=str(COLUMNS), NO_COLOR="1")
        try:
            text = StringList(list(lines()), source="command-line")
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
        made = nodes.Element()
        nested_parse_with_titles(self.state, text, made)
        return made.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive("sedmd-commands", Commands)
    return {"parallel_read_safe": True}
