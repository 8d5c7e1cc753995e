"""Settings as they are in force, and what differs between two of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from sedmd.core.config.sections import SECTIONS, Settings


def show(settings: Settings) -> str:
    """The effective settings as TOML, each with its origin as a comment."""
    lines: list[str] = []
    for section in SECTIONS:
        lines.append(f"[{section}]")
        part = getattr(settings, section)
        for entry in dataclasses.fields(part):
            value = getattr(part, entry.name)
            if value is None:
                continue
            origin = settings.origins.get(f"{section}.{entry.name}", "default")
            lines.append(f"{entry.name} = {toml(value)}  # {origin}")
        lines.append("")
    return "\n".join(lines)


def changed(old: Settings, new: Settings) -> tuple[str, ...]:
    """Names ``section.key`` of the settings that differ."""
    return tuple(
        f"{section}.{entry.name}"
        for section, cls in SECTIONS.items()
        for entry in dataclasses.fields(cls)
        if getattr(getattr(old, section), entry.name) != getattr(getattr(new, section), entry.name)
    )


def toml(value: Any) -> str:
    """A value as TOML has it: text in quotes, a tuple as a list."""
    if isinstance(value, str | Path):
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if isinstance(value, tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    return repr(value)
