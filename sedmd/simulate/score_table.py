"""The rows of the comparison with the truth as a table, and which of them decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sedmd.simulate.score_rows import ScoreRow

#: Figures that decide whether a night came out as expected. The others are shown only: what one night measures with a
#: sampling error as large as its margin (pulls, A/B against single) is for the benchmark of many nights; light of an
#: electron per pixel between the traces drowns in read noise; the turn of the lens array against the sky is a setting.
DECISIVE = (
    "complete traces",
    "traces invented",
    "trace position",
    "wavelength error",
    "spaxels without wavelengths",
    "flexure",
    "flux in 20 nm bins",
    "flux on a host",
    "automatic position",
    "fate",
)


def compare(rows: Sequence[ScoreRow]) -> str:
    """The rows of the score as an aligned table, one column for each field."""
    if not rows:
        return "  (nothing to compare)"
    head = [entry.name for entry in dataclasses.fields(ScoreRow)]
    cells = [[_cell(getattr(row, name)) for name in head] for row in rows]
    widths = [max(len(line[column]) for line in [head, *cells]) for column in range(len(head))]
    lines = [
        "  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *cells]
    ]
    return "\n".join(lines)


def decides(row: ScoreRow) -> bool:
    """Whether the result of a night rests on this row; a row without a name always counts."""
    return not row.what or row.what.startswith(DECISIVE)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
