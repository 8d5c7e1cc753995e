"""Check of the compiled loops: they can be compiled here, and their machine code is kept."""

from __future__ import annotations

from sedmd.core.config import Settings
from sedmd.doctor.environment import Environment
from sedmd.doctor.finding import Finding, error, ok, warning

#: So long the check may take, seconds: on a slow machine all loops are compiled in a minute or two.
PATIENCE_S = 600.0


def compiled_loops(settings: Settings, environment: Environment) -> list[Finding]:
    """Compile what is not compiled yet, so that the first night need not; and tell where it is kept."""
    given = environment.loops()
    if given.fault:
        advice = "pip install --force-reinstall numba llvmlite, for the Python that runs sedmd"
        return [error("compiled loops", f"cannot be compiled: {given.fault}", advice)]
    if not all(given.folders):
        text = "their machine code cannot be cached: each start compiles them again, for a minute"
        advice = "let this user write ~/.cache, or set XDG_CACHE_HOME to a directory that it may write"
        return [warning("compiled loops", text, advice)]
    how = (
        f"{given.compiled_now} compiled just now in {given.seconds:.0f} s" if given.compiled_now else "compiled before"
    )
    places = ", ".join(sorted({str(folder) for folder in given.folders}))
    return [ok("compiled loops", f"{len(given.folders)}, {how}; for this user cached in {places}")]
