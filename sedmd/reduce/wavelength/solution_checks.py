"""Whether a wavelength solution and a flat are good enough to be used: each reason is one sentence with its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.wavelength.wavelength import WavelengthSolution

#: Fewest groups of lines of each lamp and of all together. Shift and stretch go through any two lines; the others say
#: whether they are the lines they are taken for. Two of xenon's groups hold all its strong lines.
MIN_LAMP_GROUPS, MIN_GROUPS = 2, 8
#: Fewest of all where an earlier night tells the law: shift and stretch, and two to say that it still holds.
MIN_GROUPS_WITH_LAW = 4
#: The lamps of the instrument.
LAMPS = ("Hg", "Cd", "Xe")
#: Where wavelengths have to be known [Angstrom], and to what [column]: without one of the lamps a night is better
#: reduced with an earlier night's calibrations, which flexure brings to a tenth of a column, than with a guess. And
#: from what error on it is reported: a third of a column is ten Angstrom.
NEEDED_RANGE, MAX_ERROR, TOLD_ERROR = (4000.0, 9200.0), 0.5, 0.3
#: The bluest and the reddest group must reach these wavelengths [Angstrom]: Hg 4047/4358 and the Xe lines about 8250
#: stand in every published line list of the instrument; beyond the last line a solution is a guess.
BLUE_END, RED_END = 4400.0, 8200.0
#: Largest strain: how hard the lines and the published curve had to be bent to agree, squared and in units of what is
#: uncertain about them. About 1 when all is well; 3 is every group off by 1.7 of its uncertainty.
MAX_STRAIN = 3.0
#: Largest median scatter of the lamp lines about the solution [column]: a fifth of the width of a line. What places a
#: line worse than that has not placed it but its neighbour.
MAX_RMS = 0.6
#: A group of lines is reported beyond this distance from where the others put it: in units of what may be, and in
#: columns.
ODD_LINE_SIGMA, ODD_LINE_PX = 4.0, 0.3
#: Fewest groups that place a spaxel by itself: the five terms of its polynomial and one to contradict them.
MIN_SPAXEL_GROUPS = 6
#: With the law of an earlier night: shift and stretch, and one to contradict them.
MIN_SPAXEL_GROUPS_WITH_LAW = 3
#: Largest share of the complete spaxels that may lack what a cube needs. A scratch or a dead column costs some spaxels
#: in a hundred; beyond a twentieth, a part of the field is dark.
MAX_LOST = 0.05
#: Throughput relative to the field's mean below which a spaxel is not usable: its noise is five times the others'.
MIN_THROUGHPUT = 0.2


def held_by(solution: WavelengthSolution) -> str:
    """The earlier night whose law of dispersion the solution has; empty where it has its own."""
    earlier = solution.earlier
    return "" if earlier is None or earlier.change.contradicts else earlier.law.night


def least_spaxel_groups(solution: WavelengthSolution) -> int:
    """Fewest groups of lines that place a spaxel by itself."""
    return MIN_SPAXEL_GROUPS_WITH_LAW if held_by(solution) else MIN_SPAXEL_GROUPS


def lost_share(solution: WavelengthSolution, complete: NDArray[np.bool_]) -> float:
    """Share of the complete spaxels whose lines scatter too much or are too few.

    Parameters
    ----------
    solution : WavelengthSolution of n spaxels
    complete : (n,) bool, the whole spectrum is on the chip
    """
    good = (solution.rms < MAX_RMS) & (solution.n_lines >= least_spaxel_groups(solution))
    return float(1.0 - good[complete].mean()) if complete.any() else 1.0


def solution_reason(solution: WavelengthSolution, complete: NDArray[np.bool_], given: Collection[str] = LAMPS) -> str:
    """Why a wavelength solution cannot be used; empty if it can.

    Parameters
    ----------
    solution : WavelengthSolution of n spaxels
    complete : (n,) bool, the whole spectrum is on the chip
    given : lamps of which there are frames. One that was given and shows no lines is not missing: it is another lamp
        under its name, or the solution is wrong
    """
    seen = Counter(lamp for lamp, *_ in solution.groups)
    text = ", ".join(f"{lamp} {seen[lamp]}" for lamp in LAMPS)
    law = held_by(solution)
    dark = [lamp for lamp in LAMPS if lamp not in given]
    if dark and solution.accuracy is not None:
        worst, where = solution.accuracy.worst(*NEEDED_RANGE)
        if worst > MAX_ERROR:
            files = " and ".join(f"{lamp}.fits" for lamp in dark)
            return (
                f"without lines of {' and '.join(dark)} the wavelengths are known to {worst:.1f} px only at "
                f"{where:.0f} Angstrom, at most {MAX_ERROR:g} px expected{_by_law(law)}; look at {files}"
            )
    poor = [lamp for lamp in LAMPS if lamp in given and seen[lamp] < MIN_LAMP_GROUPS]
    least = MIN_GROUPS_WITH_LAW if law else MIN_GROUPS
    if poor or seen.total() < least:
        return (
            f"too few groups of lamp lines ({text}), at least {MIN_LAMP_GROUPS} of each lamp and {least} in all "
            f"expected; look at {' and '.join(f'{lamp}.fits' for lamp in poor or LAMPS)}"
        )
    wavelengths = [wavelength for _, wavelength, *_ in solution.groups]
    if not law and (min(wavelengths) > BLUE_END or max(wavelengths) < RED_END):
        return (
            f"the lamp lines reach from {min(wavelengths):.0f} to {max(wavelengths):.0f} Angstrom, {BLUE_END:.0f} to "
            f"{RED_END:.0f} expected; look at Hg.fits and Xe.fits"
        )
    if not solution.strain <= MAX_STRAIN:
        return (
            f"the lamp lines do not fit the instrument: strain {solution.strain:.1f}, at most {MAX_STRAIN:g} "
            "expected and 1 usual; a lamp with another's label? Look at Hg.fits, Cd.fits and Xe.fits"
        )
    known = solution.rms[np.isfinite(solution.rms)]
    rms = float(np.median(known)) if known.size else float("nan")
    if not rms < MAX_RMS:
        return (
            f"median rms of the lamp lines {rms:.2f} px, at most {MAX_RMS:g} expected; "
            "look at Hg.fits, Cd.fits and Xe.fits"
        )
    lost, least = lost_share(solution, complete), least_spaxel_groups(solution)
    if lost > MAX_LOST:
        return (
            f"{100 * lost:.0f} % of the {int(complete.sum())} complete spaxels have lines that scatter by more than "
            f"{MAX_RMS:g} px or fewer than {least} groups of them, at most {100 * MAX_LOST:.0f} % "
            "expected; is a part of the field dark in Hg.fits, Cd.fits or Xe.fits?"
        )
    return ""


def _by_law(law: str) -> str:
    return f", also with the law of dispersion of {law}" if law else ""


def missing_lamps(solution: WavelengthSolution) -> tuple[str, ...]:
    """Lamps of which the solution uses no line."""
    seen = {lamp for lamp, *_ in solution.groups}
    return tuple(lamp for lamp in LAMPS if lamp not in seen)


def accuracy_notes(solution: WavelengthSolution) -> tuple[str, ...]:
    """A sentence if a lamp is missing, or if the wavelengths are poorly known somewhere, with the accuracy there.

    Where there are no lines, a solution looks as good as anywhere: what it may be off by shows in the freedom that the
    fit has there, and in another law of dispersion that goes another way.
    """
    if solution.accuracy is None:
        return ()
    worst, where = solution.accuracy.worst(*NEEDED_RANGE)
    dark = missing_lamps(solution)
    if dark:
        law = held_by(solution)
        others = f"those of the other lamps and the law of dispersion of {law}" if law else "those of the other lamps"
        return (
            f"no lines of {' and '.join(dark)}: by {others} the wavelengths are known to {worst:.2f} px, the least at "
            f"{where:.0f} Angstrom",
        )
    if worst > TOLD_ERROR:
        return (
            f"the wavelengths are known to {worst:.2f} px only at {where:.0f} Angstrom, {TOLD_ERROR:g} px expected: no "
            "good lines there, and laws of dispersion differ",
        )
    return ()


def law_notes(solution: WavelengthSolution) -> tuple[str, ...]:
    """A sentence if the law of dispersion of an earlier night does not go with tonight's lines."""
    earlier = solution.earlier
    if earlier is None or not earlier.change.contradicts:
        return ()
    return (
        f"the lamp lines do not go with the law of dispersion of {earlier.law.night}, which is rejected; was the "
        "instrument worked on since?",
    )


def odd_lines(solution: WavelengthSolution) -> tuple[str, ...]:
    """A sentence for each group of lines that lies far from where all the others put it: leave-one-out residuals.

    The solution does not follow such a group, but somebody should know: a wrong identification, a lamp with another's
    label or a line that the table lacks looks like this.
    """
    return tuple(
        f"the {group.lamp} lines at {group.wavelength:.0f} Angstrom lie {group.left_out:+.2f} px from where the other "
        f"lines put them, {group.left_out_error:.2f} px expected"
        for group in solution.groups
        if abs(group.left_out) > max(ODD_LINE_SIGMA * group.left_out_error, ODD_LINE_PX)
    )


def dark_spaxels(flat: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which spaxels have no usable flat: (n_spaxel,) bool.

    Parameters
    ----------
    flat : (n_wave, n_spaxel) throughput, field mean 1; NaN = no light
    """
    found: NDArray[np.bool_] = ~(np.median(flat, axis=0) >= MIN_THROUGHPUT)
    return found


def flat_reason(flat: NDArray[np.floating], complete: NDArray[np.bool_]) -> str:
    """Why a flat cannot be used; empty if it can.

    Parameters
    ----------
    flat : (n_wave, n_spaxel) throughput, field mean 1; NaN = no light
    complete : (n_spaxel,) bool, the whole spectrum is on the chip
    """
    lost = float(dark_spaxels(flat)[complete].mean()) if complete.any() else 1.0
    if lost > MAX_LOST:
        return (
            f"{100 * lost:.0f} % of the {int(complete.sum())} complete spaxels get less than "
            f"{100 * MIN_THROUGHPUT:.0f} % of the mean light, at most {100 * MAX_LOST:.0f} % of them expected; "
            "does the dome lamp light the whole field in dome.fits?"
        )
    return ""
