"""The pictures that have come, as thumbnails."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

from .core.tongue import say
from .qt import QtCore, QtGui, QtWidgets
from .widgets import button

THUMBNAIL = 96
"""Pixels of a thumbnail's longer side at an ordinary font; larger fonts make it larger."""
_Role = QtCore.Qt.ItemDataRole.UserRole


class Strip(QtWidgets.QWidget):
    """Shows pictures, and says which one is wanted."""

    def __init__(self, apply: Callable[[Any], None], preview: Callable[[Optional[Any]], None]) -> None:
        super().__init__()
        self._apply, self._preview = apply, preview
        side = max(THUMBNAIL, 5 * self.fontMetrics().lineSpacing())
        self._side = side
        self._list = QtWidgets.QListWidget()
        self._list.setObjectName("results")
        self._list.setAccessibleName(say("Pictures; Enter puts one on the canvas"))
        self._list.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self._list.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self._list.setMovement(QtWidgets.QListView.Movement.Static)
        self._list.setIconSize(QtCore.QSize(side, side))
        self._list.setMinimumHeight(side + 2 * self.fontMetrics().lineSpacing())
        self._list.setSizeAdjustPolicy(QtWidgets.QListWidget.SizeAdjustPolicy.AdjustToContents)
        self._list.itemActivated.connect(lambda item: self._apply(item.data(_Role)))
        self._list.currentItemChanged.connect(lambda _now, _before: self._show())
        self._eye = QtWidgets.QCheckBox(say("Preview on the canvas"))
        self._eye.setObjectName("preview")
        self._eye.toggled.connect(lambda _on: self._show())
        self._put = button("apply", say("Apply as a layer"), self._apply_current)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._list, 1)
        column.addWidget(self._eye)
        column.addWidget(self._put)
        self.setVisible(False)

    @property
    def current(self) -> Optional[Any]:
        """The picture that is chosen."""
        item = self._list.currentItem()
        return item.data(_Role) if item is not None else None

    def hide_preview(self) -> None:
        """Shows nothing on the canvas any more."""
        self._eye.setChecked(False)

    def show_results(self, results: List[Any]) -> bool:
        """Shows these; true if they are others than before."""
        listed = [self._list.item(row).data(_Role) for row in range(self._list.count())]
        if len(listed) == len(results) and all(a is b for a, b in zip(listed, results)):
            return False
        kept = self.current if self._eye.isChecked() else None
        self._list.blockSignals(True)
        # What is shown already stays as it is: making thumbnails of all would keep the newest one waiting.
        known = {id(it) for it in results}
        for row in reversed([row for row, it in enumerate(listed) if id(it) not in known]):
            self._list.takeItem(row)
        listed = [it for it in listed if id(it) in known]
        if any(a is not b for a, b in zip(listed, results)):
            self._list.clear()
            listed = []
        for result in results[len(listed) :]:
            self._list.addItem(self._item(result))
        rows = [row for row, it in enumerate(results) if it is kept]
        self._list.setCurrentRow(rows[0] if rows else len(results) - 1)
        self._list.blockSignals(False)
        self.setVisible(bool(results))
        return True

    def _item(self, result: Any) -> QtWidgets.QListWidgetItem:
        small = result.image.scaled(
            self._side,
            self._side,
            QtCore.Qt.AspectRatioMode.KeepAspectRatio,
            QtCore.Qt.TransformationMode.SmoothTransformation,
        )
        item = QtWidgets.QListWidgetItem(QtGui.QIcon(QtGui.QPixmap.fromImage(small)), str(result.job.seed))
        item.setToolTip(result.name)
        item.setData(_Role, result)
        return item

    def _show(self) -> None:
        self._preview(self.current if self._eye.isChecked() else None)

    def _apply_current(self) -> None:
        if self.current is not None:
            self._apply(self.current)
