"""The docker."""

from __future__ import annotations

import random
import time
from typing import Any, Dict, Optional

from krita import DockWidget

from .app import atelier
from .core.jobs import Job, State
from .core.requests import MOST_PICTURES, MOST_SEED, Checkpoint, Fill, Kind, Wish
from .core.session import Phase
from .core.styles import STYLES
from .qt import QtCore, QtGui, QtWidgets

KINDS = {
    Kind.GENERATE: ("Generate", "A new picture from the prompt, as large as the canvas or the selection"),
    Kind.REFINE: ("Refine", "The canvas or the selection painted again, as far as the strength says"),
    Kind.FILL: ("Fill", "The selection painted anew so that it fits what is around it"),
    Kind.LIVE: ("Live", "The canvas painted again after each stroke"),
}
FILLS = {
    Fill.FILL: "Fill",
    Fill.EXPAND: "Expand the picture",
    Fill.ADD_OBJECT: "Add an object",
    Fill.REMOVE_OBJECT: "Remove an object",
    Fill.REPLACE_BACKGROUND: "Replace the background",
}
STRENGTH = {Kind.GENERATE: 100, Kind.REFINE: 60, Kind.FILL: 100, Kind.LIVE: 50}
PRICE_AFTER = 600
"""Milliseconds of quiet until the price is asked for."""
THUMBNAIL = 96

_Policy = QtWidgets.QSizePolicy.Policy


class Docker(DockWidget):
    """What the painter sees."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Atelier")
        self.setObjectName("atelier")
        self._atelier = atelier()
        self._strengths = dict(STRENGTH)
        self._shown = 0
        self._checkpoints: tuple = ()
        body = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(body)
        column.addWidget(self._connection())
        column.addWidget(self._form())
        column.addLayout(self._jobs())
        column.addWidget(self._strip(), 1)
        area = QtWidgets.QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(body)
        self.setWidget(area)
        self._price_timer = QtCore.QTimer(self)
        self._price_timer.setSingleShot(True)
        self._price_timer.timeout.connect(self._ask_price)
        self._kind_chosen()
        self._atelier.changed.connect(self._refresh)
        self._refresh()

    def canvasChanged(self, canvas: Any) -> None:  # noqa: N802, Krita's name
        """Another document is looked at, or none while one is closed."""
        if canvas is not None:  # later, since Krita is amidst changing its windows
            QtCore.QTimer.singleShot(0, lambda: self._atelier.watch())
        self._ask_price_soon()

    # Building

    def _connection(self) -> QtWidgets.QWidget:
        box = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        self._status = _words("status")
        column.addWidget(self._status)
        self._address = QtWidgets.QLineEdit(self._atelier.session.endpoint)
        self._address.setObjectName("address")
        self._address.setPlaceholderText("https://…")
        self._address.setAccessibleName("Address of the server")
        self._address.setReadOnly(self._atelier.fixed)
        self._sign_in = QtWidgets.QPushButton("Sign in")
        self._sign_in.setObjectName("sign_in")
        self._sign_in.clicked.connect(self._do_sign_in)
        column.addWidget(self._address)
        column.addWidget(self._sign_in)
        return box

    def _form(self) -> QtWidgets.QWidget:
        self._fields = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(self._fields)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        self._kind = _choice("kind", [(name, kind) for kind, (name, _) in KINDS.items()])
        self._kind.currentIndexChanged.connect(self._kind_chosen)
        self._prompt = _lines("prompt", "What to paint", 4)
        self._negative = _lines("negative", "What not to paint", 2)
        self._style = _choice("style", [(it.name, it) for it in STYLES])
        self._model = _choice("checkpoint", [])
        self._fill = _choice("fill", [(name, fill) for fill, name in FILLS.items()])
        self._strength = QtWidgets.QSpinBox()
        self._strength.setObjectName("strength")
        self._strength.setRange(1, 100)
        self._strength.setSuffix(" %")
        self._strength.valueChanged.connect(self._strength_chosen)
        self._count = QtWidgets.QSpinBox()
        self._count.setObjectName("count")
        self._count.setRange(1, MOST_PICTURES)
        self._seed = QtWidgets.QLineEdit()
        self._seed.setObjectName("seed")
        self._seed.setPlaceholderText("random")
        self._seed.setValidator(QtGui.QRegularExpressionValidator(QtCore.QRegularExpression("[0-9]{0,10}"), self))
        self._presence = QtWidgets.QCheckBox("Keep a GPU awake while I paint")
        self._presence.setObjectName("presence")
        self._presence.setToolTip(
            "Tells your studio, at most once a minute, that you are at work on the canvas. Without it the first picture"
            " after a pause may wait for a GPU to wake, about 90 s."
        )
        self._presence.setChecked(self._atelier.session.link.presence)
        self._presence.toggled.connect(self._atelier.set_presence)
        self._labels: Dict[QtWidgets.QWidget, QtWidgets.QLabel] = {}
        grid.addWidget(self._kind, 0, 0, 1, 2)
        grid.addWidget(self._prompt, 1, 0, 1, 2)
        grid.addWidget(self._negative, 2, 0, 1, 2)
        rows = [("St&yle", self._style), ("&Model", self._model), ("Sele&ction", self._fill)]
        rows += [("St&rength", self._strength), ("P&ictures", self._count), ("S&eed", self._seed)]
        for row, (name, widget) in enumerate(rows, 3):
            label = QtWidgets.QLabel(name)
            label.setBuddy(widget)
            self._labels[widget] = label
            widget.setSizePolicy(_Policy.Ignored, widget.sizePolicy().verticalPolicy())
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        self._go = QtWidgets.QPushButton()
        self._go.setObjectName("go")
        self._go.clicked.connect(self._paint)
        self._cost = _words("cost")
        grid.addWidget(self._go, 9, 0, 1, 2)
        grid.addWidget(self._cost, 10, 0, 1, 2)
        grid.addWidget(self._presence, 11, 0, 1, 2)
        for changed in (self._model.currentIndexChanged, self._count.valueChanged, self._strength.valueChanged):
            changed.connect(self._ask_price_soon)
        return self._fields

    def _jobs(self) -> QtWidgets.QVBoxLayout:
        self._rows = QtWidgets.QVBoxLayout()
        self._row_of: Dict[str, "_Row"] = {}
        return self._rows

    def _strip(self) -> QtWidgets.QWidget:
        self._results = QtWidgets.QListWidget()
        self._results.setObjectName("results")
        self._results.setAccessibleName("Pictures; Enter puts one on the canvas")
        self._results.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self._results.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self._results.setMovement(QtWidgets.QListView.Movement.Static)
        self._results.setIconSize(QtCore.QSize(THUMBNAIL, THUMBNAIL))
        self._results.setMinimumHeight(THUMBNAIL + 24)
        self._results.itemActivated.connect(self._apply)
        box = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._results, 1)
        self._put = QtWidgets.QPushButton("Apply as a layer")
        self._put.setObjectName("apply")
        self._put.clicked.connect(lambda: self._apply(self._results.currentItem()))
        column.addWidget(self._put)
        return box

    # What the painter does

    def _do_sign_in(self) -> None:
        if not self._atelier.fixed:
            self._atelier.move(self._address.text())
        self._atelier.sign_in()

    def _wish(self) -> Wish:
        seed = self._seed.text()
        return Wish(
            kind=self._kind.currentData(),
            prompt=self._prompt.toPlainText().strip(),
            negative=self._negative.toPlainText().strip(),
            style=self._style.currentData(),
            checkpoint=self._model.currentData() or Checkpoint("", "sd15"),
            strength=self._strength.value() / 100,
            count=self._count.value(),
            seed=min(int(seed), MOST_SEED) if seed else 0 if self._kind.currentData() is Kind.LIVE else _random_seed(),
            fill=self._fill.currentData(),
        )

    def _paint(self) -> None:
        kind = self._kind.currentData()
        if kind is Kind.LIVE:
            self._set_live(self._atelier.live_wish is None)
        elif self._atelier.paint(self._wish()) is None:
            self._cost.setText("Select what to fill first." if kind is Kind.FILL else "Open a picture first.")

    def _set_live(self, on: bool) -> None:
        self._atelier.live_wish = self._wish if on else None
        self._kind_shown()

    def _kind_chosen(self) -> None:
        self._set_live(False)
        kind = self._kind.currentData()
        self._strength.setValue(self._strengths[kind])
        for widget, kinds in (
            (self._fill, (Kind.FILL,)),
            (self._strength, (Kind.REFINE, Kind.FILL, Kind.LIVE)),
            (self._count, (Kind.GENERATE, Kind.REFINE, Kind.FILL)),
        ):
            widget.setVisible(kind in kinds)
            self._labels[widget].setVisible(kind in kinds)
        self._ask_price_soon()

    def _kind_shown(self) -> None:
        name, what = KINDS[self._kind.currentData()]
        if self._kind.currentData() is Kind.LIVE:
            name = "Stop live" if self._atelier.live_wish else "Start live"
        self._go.setText(name)
        self._go.setToolTip(what)

    def _strength_chosen(self, value: int) -> None:
        self._strengths[self._kind.currentData()] = value

    def _apply(self, item: Optional[QtWidgets.QListWidgetItem]) -> None:
        if item is not None and not self._atelier.apply(item.data(QtCore.Qt.ItemDataRole.UserRole)):
            self._cost.setText("Open a picture first.")

    def _ask_price_soon(self) -> None:
        if hasattr(self, "_price_timer"):
            self._price_timer.start(PRICE_AFTER)

    def _ask_price(self) -> None:
        self._say_price(None)
        self._atelier.price(self._wish(), self._say_price)

    def _say_price(self, price: Optional[int]) -> None:
        left = self._atelier.session.desk.credits
        parts = [f"Up to {price} credits" if price is not None else "", f"{left} left" if left is not None else ""]
        self._cost.setText(" · ".join(filter(None, parts)))

    # What is shown

    def _refresh(self) -> None:
        session = self._atelier.session
        ready = session.phase is Phase.READY
        self._status.setText(self._atelier.words())
        out = session.phase in (Phase.NO_ADDRESS, Phase.SIGNED_OUT, Phase.SIGNING_IN)
        self._address.setVisible(out and not self._atelier.fixed)
        self._sign_in.setVisible(out)
        self._sign_in.setEnabled(session.phase is not Phase.SIGNING_IN)
        self._go.setEnabled(ready)
        if session.offer.checkpoints != self._checkpoints:
            self._checkpoints = session.offer.checkpoints
            chosen = self._model.currentText()
            self._model.clear()
            for it in self._checkpoints:
                self._model.addItem(it.name.rsplit(".", 1)[0], it)
            self._model.setCurrentIndex(max(0, self._model.findText(chosen)))
        self._kind_shown()
        self._refresh_jobs(session.desk.jobs)
        self._refresh_results()

    def _refresh_jobs(self, jobs: Dict[str, Job]) -> None:
        shown = {id: it for id, it in jobs.items() if it.state not in (State.DONE, State.CANCELED)}
        for gone in [id for id in self._row_of if id not in shown]:
            self._row_of.pop(gone).setParent(None)
        for id, job in shown.items():
            if id not in self._row_of:
                self._row_of[id] = _Row(job)
                self._rows.addWidget(self._row_of[id])
            self._row_of[id].show_job(job)

    def _refresh_results(self) -> None:
        results = self._atelier.results
        listed = [
            self._results.item(row).data(QtCore.Qt.ItemDataRole.UserRole) for row in range(self._results.count())
        ]
        if len(listed) == len(results) and all(a is b for a, b in zip(listed, results)):
            self._put.setEnabled(bool(results))
            return
        self._results.clear()
        for result in results:
            pixels = QtGui.QPixmap.fromImage(
                result.image.scaled(
                    THUMBNAIL,
                    THUMBNAIL,
                    QtCore.Qt.AspectRatioMode.KeepAspectRatio,
                    QtCore.Qt.TransformationMode.SmoothTransformation,
                )
            )
            item = QtWidgets.QListWidgetItem(QtGui.QIcon(pixels), str(result.job.seed))
            item.setToolTip(result.name)
            item.setData(QtCore.Qt.ItemDataRole.UserRole, result)
            self._results.addItem(item)
        self._results.setCurrentRow(len(results) - 1)
        self._put.setEnabled(bool(results))
        self._ask_price_soon()


class _Row(QtWidgets.QWidget):
    """A job that is on its way, or has failed."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(0, 1)
        self._text = _words("job")
        self._bar = QtWidgets.QProgressBar()
        self._bar.setTextVisible(False)
        self._stop = QtWidgets.QPushButton("Cancel")
        self._again = QtWidgets.QPushButton("Send again")
        self._forget = QtWidgets.QPushButton("Remove")
        self._stop.clicked.connect(lambda: atelier().cancel(job.id))
        self._again.clicked.connect(lambda: atelier().again(job.id))
        self._forget.clicked.connect(lambda: atelier().forget(job.id))
        grid.addWidget(self._text, 0, 0, 1, 3)
        grid.addWidget(self._bar, 1, 0)
        for column, button in enumerate((self._stop, self._again, self._forget)):
            button.setObjectName(("cancel", "again", "forget")[column])
            grid.addWidget(button, 1, (1, 1, 2)[column])

    def show_job(self, job: Job) -> None:
        """Says where it stands."""
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


def _random_seed() -> int:
    return random.randint(0, MOST_SEED)


def _words(name: str) -> QtWidgets.QLabel:
    label = QtWidgets.QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setTextFormat(QtCore.Qt.TextFormat.PlainText)
    label.setSizePolicy(_Policy.Ignored, _Policy.Minimum)
    return label


def _choice(name: str, entries: list) -> QtWidgets.QComboBox:
    box = QtWidgets.QComboBox()
    box.setObjectName(name)
    for text, data in entries:
        box.addItem(text, data)
    return box


def _lines(name: str, hint: str, lines: int) -> QtWidgets.QPlainTextEdit:
    edit = QtWidgets.QPlainTextEdit()
    edit.setObjectName(name)
    edit.setPlaceholderText(hint)
    edit.setAccessibleName(hint)
    edit.setTabChangesFocus(True)
    edit.setFixedHeight(edit.fontMetrics().lineSpacing() * lines + 12)
    return edit
