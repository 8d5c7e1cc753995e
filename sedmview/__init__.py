"""sedmview: the window in which the observer scales a cube, places the apertures, grades the spectrum and moves on."""

import sedmd.workers.single_thread  # noqa: F401  (before the numerical libraries load: threads of theirs fight with the window's)
