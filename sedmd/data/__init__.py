"""Published tables that the reduction needs, shipped with the package; each file's head states its source.

Everything is read from the installed package, once per process, and handed out as read-only arrays.
Wavelengths are Angstrom in air throughout. Each table has a module of its own, and this one imports none: the names of
the standard stars are asked for by every command, and need no numerical library.
"""
