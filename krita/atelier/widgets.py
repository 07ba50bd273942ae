"""Small widgets that all parts of the docker use."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

from .qt import QtCore, QtWidgets

Policy = QtWidgets.QSizePolicy.Policy


class Words(QtWidgets.QLabel):
    """A text that wraps, is as high as it needs to be, and is never read as markup."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setWordWrap(True)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setSizePolicy(Policy.Ignored, Policy.Fixed)

    def setText(self, text: str) -> None:  # noqa: N802, Qt's name
        """Says something else."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802, Qt's name
        """Is as wide as there is room."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        # By itself, since layouts within layouts do not keep to what a text needs at a width.
        self.setFixedHeight(max(0, self.heightForWidth(self.width())))


def button(name: str, text: str, clicked: Callable[[], Any]) -> QtWidgets.QPushButton:
    """A button no wider than there is room."""
    it = QtWidgets.QPushButton(text)
    it.setObjectName(name)
    it.clicked.connect(lambda: clicked())
    return it


def cross(name: str, clicked: Callable[[], Any]) -> QtWidgets.QToolButton:
    """Takes a row away."""
    it = QtWidgets.QToolButton()
    it.setObjectName(name)
    it.setText("×")
    it.clicked.connect(lambda: clicked())
    return it


def choice(name: str, entries: List[Tuple[str, Any]]) -> QtWidgets.QComboBox:
    """A choice that shrinks with the docker."""
    box = QtWidgets.QComboBox()
    box.setObjectName(name)
    box.setSizePolicy(Policy.Ignored, Policy.Fixed)
    for text, data in entries:
        box.addItem(text, data)
    return box


def percent(name: str, value: int, least: int, most: int) -> QtWidgets.QSpinBox:
    """A share."""
    box = QtWidgets.QSpinBox()
    box.setObjectName(name)
    box.setRange(least, most)
    box.setSuffix(" %")
    box.setValue(value)
    return box


def lines(name: str, hint: str, count: int) -> QtWidgets.QPlainTextEdit:
    """A few lines of text; Tab leaves it."""
    edit = QtWidgets.QPlainTextEdit()
    edit.setObjectName(name)
    edit.setPlaceholderText(hint)
    edit.setAccessibleName(hint)
    edit.setTabChangesFocus(True)
    edit.setFixedHeight(edit.fontMetrics().lineSpacing() * count + 12)
    return edit


class Changing(QtWidgets.QComboBox):
    """A choice of what is there when it is opened."""

    def __init__(self, name: str, entries: Callable[[], List[Tuple[str, Any]]]) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setSizePolicy(Policy.Ignored, Policy.Fixed)
        self._entries = entries
        self.renew()

    def renew(self) -> None:
        """Offers what is there now, and keeps what was chosen if it still is."""
        chosen, entries = self.currentData(), self._entries()
        if [self.itemData(it) for it in range(self.count())] == [data for _, data in entries]:
            return
        self.clear()
        for text, data in entries:
            self.addItem(text, data)
        self.setCurrentIndex(max(0, self.findData(chosen)) if entries else -1)

    def showPopup(self) -> None:  # noqa: N802, Qt's name
        """Opens it."""
        self.renew()
        super().showPopup()
