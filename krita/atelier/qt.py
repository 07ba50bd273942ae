"""Qt as this Krita has it: PyQt5 until Krita 5, PyQt6 from Krita 6. Enums are named in full, which both know."""

try:
    from PyQt5 import QtCore, QtGui, QtNetwork, QtWidgets
except ImportError:
    from PyQt6 import QtCore, QtGui, QtNetwork, QtWidgets  # type: ignore[no-redef]

__all__ = ["QtCore", "QtGui", "QtNetwork", "QtWidgets"]
