"""Plots as files, drawn without a display; the same input gives the same bytes."""

from sedmd.products.plots.maps import ApertureMark, MapImage, MapPanel, map_of_cube, plot_maps
from sedmd.products.plots.sensitivity import plot_sensitivity
from sedmd.products.plots.spectrum import plot_spectrum

__all__ = [
    "ApertureMark",
    "MapImage",
    "MapPanel",
    "map_of_cube",
    "plot_maps",
    "plot_sensitivity",
    "plot_spectrum",
]
