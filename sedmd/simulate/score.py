"""How near a reduced night comes to its truth: every figure that the reduction has to reach, as a table of rows.

Only products on disk and the truth are read, never a raw frame; the reduction knows nothing of this.
"""

from __future__ import annotations

from pathlib import Path

from sedmd.core.errors import SedmError
from sedmd.simulate.score_calibration import score_calibration
from sedmd.simulate.score_exposures import score_exposures
from sedmd.simulate.score_rows import ScoreRow
from sedmd.simulate.score_spectra import score_spectra
from sedmd.simulate.score_truth import NightTruth

__all__ = ["ScoreRow", "products_of", "score_night"]


def score_night(truth: Path, redux: Path, night: str | None = None) -> list[ScoreRow]:
    """Compare the products of a night with its truth.

    Parameters
    ----------
    truth : Path
        The simulator's ``OUT/truth``.
    redux : Path
        Directory with the products of the night; with `night`, the redux root that holds it.
    night : str, optional
        UT night, ``YYYYMMDD``.

    Returns
    -------
    list of ScoreRow
        Calibrations first, then exposures, then spectra. A product that should be there and is not makes a row that
        did not pass.

    Raises
    ------
    SedmError
        If there is no truth or no such night directory.
    """
    folder = redux / night if night is not None else redux
    if not folder.is_dir():
        msg = f"{folder}: no such directory; expected the products of a reduced night"
        raise SedmError(msg)
    told = NightTruth(truth)
    return [*score_calibration(told, folder), *score_exposures(told, folder), *score_spectra(told, folder)]


def products_of(redux: Path, night: str | None = None) -> Path:
    """The directory of a night's products.

    Parameters
    ----------
    redux : Path
        The redux root, or the directory of one night.
    night : str, optional
        UT night, ``YYYYMMDD``; needed only where there are several.

    Returns
    -------
    Path

    Raises
    ------
    SedmError
        If there is no such night, or more than one to choose from.
    """
    if night is None and not any(redux.glob("*.fits")):
        nights = sorted(path.name for path in redux.glob("[0-9]" * 8) if path.is_dir())
        if len(nights) != 1:
            told = f"nights {', '.join(nights)}; say which with --night" if nights else "no night's products here"
            msg = f"{redux}: {told}"
            raise SedmError(msg)
        night = nights[0]
    return redux / night if night is not None else redux
