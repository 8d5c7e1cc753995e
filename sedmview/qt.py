"""The one place that knows which Qt this is: PyQt5, which is what is installed by default, or PySide6.

Set PYQTGRAPH_QT_LIB to choose when both are installed.
"""

import importlib.util
import os

if "PYQTGRAPH_QT_LIB" not in os.environ and importlib.util.find_spec("PyQt5") is not None:
    os.environ["PYQTGRAPH_QT_LIB"] = "PyQt5"

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

# Qt 6 moved them
QShortcut = getattr(QtGui, "QShortcut", None) or QtWidgets.QShortcut
QAction = getattr(QtGui, "QAction", None) or QtWidgets.QAction

__all__ = ["QAction", "QShortcut", "QtCore", "QtGui", "QtWidgets"]
