"""From a night to HTML: pure functions; every name is escaped, every link is relative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import sedmd
from sedmd.after.report.nightreport import QUALITY_WORDS, Report, SpectrumLine
from sedmd.run.event_log import figures
from sedmd.run.states import NightState


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One spectrum on the page.

    Attributes
    ----------
    line : SpectrumLine
        Its line of the report.
    spectrum : str
        ``<svg>`` element, escaped already; empty when there is none.
    field, finder : str
        File names of the pictures; empty when there is none.
    links : tuple of (label, file name)
    """

    line: SpectrumLine
    spectrum: str
    field: str
    finder: str
    links: tuple[tuple[str, str], ...]


def night_page(
    report: Report,
    state: NightState,
    targets: Sequence[Target],
    *,
    charts: Sequence[tuple[str, str]],
    maps: Sequence[tuple[str, str]],
    title: str,
    errors: Sequence[str] = (),
) -> str:
    """The page of a night.

    Parameters
    ----------
    report : Report
    state : NightState
    targets : sequence of Target
        In the order in which they are shown.
    charts : sequence of (title, ``<svg>`` element)
    maps : sequence of (title, file name)
    title : str
        Of the site.
    errors : sequence of str
        What could not be shown.
    """
    return (
        _environment()
        .get_template("night.html")
        .render(
            report=report,
            state=state,
            targets=targets,
            charts=[(name, Markup(chart)) for name, chart in charts],
            maps=maps,
            site=title,
            errors=[*report.trouble, *errors],
        )
    )


def index_page(nights: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """The index of nights.

    Parameters
    ----------
    nights : sequence of mapping
        Summaries, newest first, with at least ``night``.
    """
    return _environment().get_template("index.html").render(nights=nights, site=title)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("sedmd.after"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"figures": figures, "svg": Markup, "hhmm": lambda text: text[11:16], "day": _day}
    made.globals |= {"words": QUALITY_WORDS, "version": sedmd.__version__}
    return made


def _day(night: str) -> str:
    """20190612 as 2019-06-12."""
    return f"{night[:4]}-{night[4:6]}-{night[6:]}"
