"""How the documentation is built: no network, nothing written beside the sources, warnings are errors."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from sedmd import __version__  # noqa: E402

project = "sedmd and sedmview"
author = "The sedmd developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "command_line",
    "error_catalogue",
    "api",
    "mathtext",
    "rooms",
]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
#: `x` in a docstring is code, as numpydoc has it.
default_role = "code"
#: two classes of one name in two rooms
suppress_warnings = ["ref.python"]

napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "ignore-module-all": True}

html_theme = "furo"
html_title = f"sedmd {release}"
html_static_path = []
html_show_sphinx = False
html_math_renderer = "mathtext"
nitpicky = False
