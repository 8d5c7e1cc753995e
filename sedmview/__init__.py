"""sedmview: the window in which the observer scales a cube, places the apertures, grades the spectrum and moves on."""
