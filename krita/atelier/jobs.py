"""Rows of the docker: what is on its way, or has failed."""

from __future__ import annotations

import time
from typing import Callable, Optional

from .app import atelier
from .core.groups import Standing
from .core.jobs import Job, State
from .core.tongue import say
from .qt import QtCore, QtGui, QtWidgets
from .strip import THUMBNAIL
from .widgets import Words, button


class _Line(QtWidgets.QWidget):
    """Words, a picture as it grows, a bar, and what can be done."""

    def __init__(self, stop: Callable[[], None], again: Callable[[], None], forget: Callable[[], None]) -> None:
        super().__init__()
        column, below = QtWidgets.QVBoxLayout(self), QtWidgets.QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        self._text = Words("job")
        self._bar = QtWidgets.QProgressBar()
        self._bar.setTextVisible(False)
        self._stop = button("cancel", say("Cancel"), stop)
        self._again = button("again", say("Send again"), again)
        self._forget = button("forget", say("Remove"), forget)
        self._picture = QtWidgets.QLabel()
        self._picture.setObjectName("growing")
        self._picture.setAccessibleName(say("The picture as far as it is"))
        self._picture.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self._picture.setMinimumWidth(1)  # a picture makes no docker wider
        column.addWidget(self._text)
        column.addWidget(self._picture)
        column.addLayout(below)
        below.addWidget(self._bar, 1)
        for it in (self._stop, self._again, self._forget):
            below.addWidget(it)

    def _show_picture(self, picture: Optional["QtGui.QImage"]) -> None:
        self._picture.setVisible(picture is not None)
        if picture is not None:
            side = 2 * THUMBNAIL
            small = picture.scaled(
                min(side, max(1, self.width())),
                side,
                QtCore.Qt.AspectRatioMode.KeepAspectRatio,
                QtCore.Qt.TransformationMode.SmoothTransformation,
            )
            self._picture.setPixmap(QtGui.QPixmap.fromImage(small))


class Row(_Line):
    """A job that is on its way, or has failed."""

    def __init__(self, job: Job) -> None:
        one = atelier()
        super().__init__(lambda: one.cancel(job.id), lambda: one.send_again(job.id), lambda: one.forget(job.id))

    def show_job(self, job: Job, picture: Optional["QtGui.QImage"]) -> None:
        """Says where it stands, and shows the picture as far as it is."""
        self._show_picture(picture)
        failed = job.state is State.FAILED
        self._text.setText(job.words(time.monotonic()))
        self._bar.setVisible(not failed)
        rendering = job.state is State.RUNNING
        self._bar.setRange(0, 100 if rendering else 0)
        self._bar.setValue(round(job.progress * 100))
        self._stop.setVisible(not failed)
        self._stop.setEnabled(job.state is not State.CANCELING)
        self._again.setVisible(failed)
        self._forget.setVisible(failed)


class GroupRow(_Line):
    """Variants of one request that are on their way, or have failed."""

    def __init__(self, group: str) -> None:
        one = atelier()
        super().__init__(lambda: one.cancel_group(group), lambda: None, lambda: one.forget_group(group))

    def show_group(self, group: Standing, picture: Optional["QtGui.QImage"]) -> None:
        """Says how many are to come, and shows the picture that is rendered."""
        self._show_picture(picture)
        self._text.setText(group.words())
        self._bar.setVisible(group.left > 0)
        self._bar.setRange(0, 100)
        self._bar.setValue(round(group.share * 100))
        self._stop.setVisible(group.left > 0)
        self._again.setVisible(False)
        self._forget.setVisible(group.left == 0)
