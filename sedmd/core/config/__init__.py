"""One TOML file, typed: every key known, every unit in its name, every value with its origin.

Each setting is declared once, in `sections`: type, default, unit, range, whether it takes a restart, a line of text.
Reading, showing, the sample configuration and the page of settings all follow from that declaration.
"""

from sedmd.core.config.reading import from_table, load
from sedmd.core.config.sections import (
    ALL_GROUPS,
    NEEDS_RESTART,
    SECTIONS,
    After,
    AutomaticExtraction,
    Calibrations,
    Classify,
    Disk,
    Guide,
    Health,
    Instrument,
    Jobs,
    Links,
    Log,
    Mail,
    Night,
    Paths,
    Products,
    Settings,
    Site,
    Upload,
    Watch,
    Web,
)
from sedmd.core.config.showing import changed, show

__all__ = [
    "ALL_GROUPS",
    "NEEDS_RESTART",
    "SECTIONS",
    "After",
    "AutomaticExtraction",
    "Calibrations",
    "Classify",
    "Disk",
    "Guide",
    "Health",
    "Instrument",
    "Jobs",
    "Links",
    "Log",
    "Mail",
    "Night",
    "Paths",
    "Products",
    "Settings",
    "Site",
    "Upload",
    "Watch",
    "Web",
    "changed",
    "from_table",
    "load",
    "show",
]
