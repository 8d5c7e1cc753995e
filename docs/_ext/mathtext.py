"""Formulae as pictures drawn by matplotlib, so that neither TeX, nor a script, nor a network is needed to see them."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

from docutils import nodes
from matplotlib import figure, mathtext
from matplotlib.font_manager import FontProperties
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

SIZE_PT = 12.0


def picture(formula: str) -> str:
    """An ``img`` element of a formula, which sits on the line of the text around it.

    Raises
    ------
    ValueError
        If it is no formula that matplotlib can draw.
    """
    text = f"${' '.join(formula.split())}$"
    font = FontProperties(size=SIZE_PT, math_fontfamily="stix")
    width, height, depth, *_ = mathtext.MathTextParser("path").parse(text, dpi=72, prop=font)
    drawn = figure.Figure(figsize=(max(width, 1) / 72, max(height, 1) / 72))
    drawn.text(0, depth / max(height, 1), text, fontproperties=font, color="#777777")
    stream = io.BytesIO()
    drawn.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    data = base64.b64encode(stream.getvalue()).decode()
    style = f"height:{height / SIZE_PT:.3f}em; vertical-align:{-depth / SIZE_PT:.3f}em"
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{html.escape(formula, quote=True)}" style="{style}">'


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """A formula in a line."""
    self.body.append(f'<span class="math">{picture(node.astext())}</span>')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Formulae of their own lines, one for each line of the source that ends with a double backslash."""
    for line in node.astext().split("\\\\"):
        shown = picture(line.replace(r"\frac", r"\dfrac"))
        self.body.append(f'<div class="math" style="margin: 0.8em 2em">{shown}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_html_math_renderer("mathtext", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True}
