"""A picture over the canvas that is no part of the document: never saved with it, and no step to undo."""

from __future__ import annotations

import contextlib
from typing import Any, Optional, Tuple

from krita import Krita

from . import canvas
from .core.jobs import Place
from .core.sizes import Rect
from .qt import QtCore, QtGui, QtWidgets

FOLLOW = 40
"""Milliseconds between two looks at where the canvas has gone to."""


class Overlay(QtCore.QObject):
    """Shows a picture where its document is looked at, and follows zoom, pan and turn."""

    def __init__(self, grows: bool = False) -> None:
        super().__init__()
        self._grows = grows
        """It shows what the model sees, of which the result is a part."""
        self._sheet: Optional[_Sheet] = None
        self._image: Optional[QtGui.QImage] = None
        self._place: Optional[Place] = None
        self._seen: Optional[Tuple[Any, ...]] = None
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._follow)

    def show(self, image: "QtGui.QImage", place: Place) -> None:
        """Shows this one instead of another."""
        if image is not self._image or place != self._place:
            self._image, self._place, self._seen = image, place, None
            self._follow()
        self._timer.start(FOLLOW)

    def hide(self) -> None:
        """Shows none any more."""
        self._timer.stop()
        self._image = self._place = None
        self._drop()

    def _drop(self) -> None:
        sheet, self._sheet = self._sheet, None
        if sheet is not None:
            with contextlib.suppress(RuntimeError):  # it went with its window
                sheet.hide()
                sheet.deleteLater()

    def _follow(self) -> None:
        looked_at = _looked_at()
        if looked_at is None or self._place is None or self._image is None:
            return self._drop()
        view, area = looked_at
        document, port = view.document(), area.viewport()
        if canvas.document_id(document) != self._place.document:
            return self._drop()
        way = _transform(view, area)
        seen = (way.m11(), way.m12(), way.m21(), way.m22(), way.dx(), way.dy(), port.width(), port.height(), id(port))
        if seen == self._seen:
            return
        it = self._place
        piece = canvas.bounds(document) if it.enlarges else Rect(it.x, it.y, it.width, it.height)
        whole = Rect(*it.context) if self._grows and it.context else piece
        try:
            if self._sheet is None or self._sheet.parentWidget() is not port:
                self._drop()
                self._sheet = _Sheet(port)
            self._sheet.lay(self._image, whole, piece, way)
        except RuntimeError:  # its window was closed
            self._sheet = None
        else:
            self._seen = seen


class _Sheet(QtWidgets.QWidget):
    """Lies over a canvas, and lets every stroke through."""

    def __init__(self, port: "QtWidgets.QWidget") -> None:
        super().__init__(port)
        self.setObjectName("atelier_overlay")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._image, self._way = QtGui.QImage(), QtGui.QTransform()
        self._whole = self._piece = QtCore.QRectF()

    def lay(self, image: "QtGui.QImage", whole: Rect, piece: Rect, way: "QtGui.QTransform") -> None:
        """Shows a piece of a picture that covers all of this much of the canvas."""
        self._image, self._way = image, way
        self._whole, self._piece = (QtCore.QRectF(it.x, it.y, it.width, it.height) for it in (whole, piece))
        self.setGeometry(0, 0, self.parentWidget().width(), self.parentWidget().height())
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, _event: Any) -> None:  # noqa: N802, Qt's name
        """Paints it."""
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        painter.setTransform(self._way)
        painter.setClipRect(self._piece)
        painter.drawImage(self._whole, self._image)
        painter.end()


def _looked_at() -> Optional[Tuple[Any, "QtWidgets.QAbstractScrollArea"]]:
    """The view in front, and the area that its canvas is scrolled in."""
    window = Krita.instance().activeWindow()
    view = window.activeView() if window is not None else None
    if view is None or view.document() is None:
        return None
    desk = window.qwindow().findChild(QtWidgets.QMdiArea)
    front = desk.currentSubWindow() if desk is not None else None
    for area in front.findChildren(QtWidgets.QAbstractScrollArea) if front is not None else ():
        if "CanvasController" in area.metaObject().className():
            return view, area
    return None


def _transform(view: Any, area: "QtWidgets.QAbstractScrollArea") -> "QtGui.QTransform":
    """From pixels of the picture to the area's: its middle is the picture's where both bars are in the middle."""
    shown, document, port = view.canvas(), view.document(), area.viewport()
    across, down = area.horizontalScrollBar(), area.verticalScrollBar()
    zoom = shown.zoomLevel() * 72.0 / document.resolution()  # which Krita counts in points
    way = QtGui.QTransform()
    way.translate(port.width() / 2, port.height() / 2)
    way.translate(
        (across.minimum() + across.maximum()) / 2 - across.value(), (down.minimum() + down.maximum()) / 2 - down.value()
    )
    way.rotate(shown.rotation())
    way.scale(-zoom if shown.mirror() else zoom, zoom)
    way.translate(-document.width() / 2, -document.height() / 2)
    return way
