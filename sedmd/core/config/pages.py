"""What people read of the settings, made from their declaration: the sample configuration and the page of settings.

``sedmd config sample > config/sedmd.toml`` and ``sedmd config doc > docs/settings.md`` write both.
"""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

from sedmd.core.config.sections import SECTIONS
from sedmd.core.config.setting import Setting, declared
from sedmd.core.config.showing import toml

#: Column of a comment beside a value, and the longest line of the sample.
COMMENT_COLUMN, WIDTH = 35, 120
SAMPLE_HEAD = """\
# sedmd: every setting with its default. Only [paths] raw_root and redux_root are required.
# Units stand in the key names: _s seconds, _ut_hour hours of UT. Relative paths start at this file.
# Check with: sedmd config check --config FILE      See what is in force: sedmd config show --config FILE
# This file is made by: sedmd config sample
"""
PAGE_HEAD = """\
<!-- made by: sedmd config doc > docs/settings.md -->
# Settings

One TOML file, given with `--config`.
Only `[paths] raw_root` and `redux_root` are required; everything else has the default that stands here.
Relative paths start at the file. An unknown key is refused, with the nearest known one.

- `sedmd config sample` prints a configuration with every setting, its default and its meaning.
- `sedmd config check --config FILE` checks a file.
- `sedmd config show --config FILE` prints every setting in force and where it comes from.
- `systemctl reload sedmd` (`SIGHUP`) reads the file again. Settings marked *restart* change with a restart only.
"""


def sample() -> str:
    """The sample configuration: every setting with its default and a line of text; TOML."""
    parts = [SAMPLE_HEAD]
    for section, kind in SECTIONS.items():
        lines = [f"[{section}]", f"# {_text_of(kind)}."]
        for entry in dataclasses.fields(kind):
            lines += _sampled(entry)
        parts.append("".join(f"{line}\n" for line in lines))
    return "\n".join(parts)


def page() -> str:
    """The page of settings: a table for each section; Markdown."""
    parts = [PAGE_HEAD]
    for section, kind in SECTIONS.items():
        lines = [f"## `[{section}]`", "", f"{_text_of(kind)}.", ""]
        lines += ["| setting | default | unit, range | meaning |", "| --- | --- | --- | --- |"]
        fields: list[tuple[dataclasses.Field[Any], Setting]]
        fields = [(entry, declared(entry)) for entry in dataclasses.fields(kind)]
        for entry, told in fields:
            text = told.text + (" *(restart)*" if told.restart else "")
            cells = (f"`{entry.name}`", _default(entry, told), _limits(entry, told), text)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        for entry, told in fields:
            if told.more:
                lines += ["", *textwrap.wrap(f"`{entry.name}`: {told.more}", WIDTH, break_on_hyphens=False)]
            if told.lines:
                lines += ["", f"`{entry.name}` by default:", "", "```text", *_items(entry), "```"]
        parts.append("".join(f"{line}\n" for line in lines))
    return "\n".join(parts)


def _text_of(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _items(entry: dataclasses.Field[Any]) -> tuple[str, ...]:
    """The items of a list that is a setting's default."""
    items: Any = entry.default
    return tuple(items)


def _sampled(entry: dataclasses.Field[Any]) -> list[str]:
    """The lines of one setting in the sample."""
    told = declared(entry)
    above = [f"# {line}" for line in textwrap.wrap(told.more, WIDTH - 2, break_on_hyphens=False)]
    if told.lines:
        items = [f"    {_quoted(item)}," for item in _items(entry)]
        return [*above, f"{entry.name} = [".ljust(COMMENT_COLUMN) + f"# {told.text}", *items, "]"]
    if entry.default is None:
        given = f"# {entry.name} = {told.example}"
    else:
        given = f"{entry.name} = {told.example if entry.default is dataclasses.MISSING else toml(entry.default)}"
    return [*above, f"{given.ljust(COMMENT_COLUMN - 2)}  # {told.text}"]


def _quoted(text: str) -> str:
    """Between single quotes where a backslash would have to be doubled."""
    return f"'{text}'" if "\\" in text and "'" not in text else toml(text)


def _default(entry: dataclasses.Field[Any], told: Setting) -> str:
    if entry.default is dataclasses.MISSING:
        return "required"
    if entry.default is None:
        return "unset"
    return "see below" if told.lines else f"`{toml(entry.default)}`"


def _limits(entry: dataclasses.Field[Any], told: Setting) -> str:
    """Unit and range of a number, or the choices of a text."""
    if told.choices:
        return ", ".join(f"`{toml(choice)}`" for choice in told.choices)
    if not ("int" in str(entry.type) or "float" in str(entry.type)):
        return ""
    return f"{told.unit}; {told.range}" if told.unit else told.range
