"""The one place that knows which Qt this is: PyQt5 or PySide6, as pyqtgraph found it.

Set PYQTGRAPH_QT_LIB to choose when both are installed.
"""

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

# Qt 6 moved it
QShortcut = getattr(QtGui, "QShortcut", None) or QtWidgets.QShortcut

__all__ = ["QShortcut", "QtCore", "QtGui", "QtWidgets"]
