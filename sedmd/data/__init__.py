"""Published tables that the reduction needs, shipped with the package; each file's head states its source.

Everything is read from the installed package, once per process, and handed out as read-only arrays.
Wavelengths are Angstrom in air throughout.
"""

from sedmd.data import standards
from sedmd.data.extinction import extinction_mag
from sedmd.data.lines import airglow_lines, airglow_spectrum, lamp_lines
from sedmd.data.telluric import telluric_template

__all__ = ["airglow_lines", "airglow_spectrum", "extinction_mag", "lamp_lines", "standards", "telluric_template"]
