"""The docker."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from krita import DockWidget, Krita

from .app import atelier
from .core.groups import standings
from .core.history import History, Past
from .core.jobs import Job, State
from .core.levels import Level
from .core.requests import Kind, Wish
from .core.session import Phase
from .core.tongue import mark, say
from .form import Form
from .history import Page
from .jobs import GroupRow, Row
from .painting import NotReady
from .qt import QtCore, QtGui, QtWidgets
from .strip import Strip
from .widgets import Words, button, choice

LEVELS = {Level.SIMPLE: mark("Simple"), Level.STANDARD: mark("Standard"), Level.EXPERT: mark("Expert")}
PRICE_AFTER = 600
"""Milliseconds of quiet until the price is asked for."""
WITHOUT_PRESENCE = mark("Without it the first picture after a pause may wait for a GPU to wake, about 90 s.")

OF_A_CLASS = mark("Your team is a class: the making is recorded, unless you switch it off.")


class Docker(DockWidget):
    """What the painter sees."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Atelier")
        self.setObjectName("atelier")
        self._atelier = atelier()
        self._offer: Any = None
        self._price_number = 0
        body = QtWidgets.QWidget()
        self._past = Page(self._history, self._atelier.with_history, self._use_again, self._bring, self._atelier.open)
        column = QtWidgets.QVBoxLayout(body)
        column.addWidget(self._connection())
        self._form = Form(lambda: self._atelier.session.offer, self._loras, self._detect)
        column.addWidget(self._form)
        column.addLayout(self._painting())
        self._rows = QtWidgets.QVBoxLayout()
        self._row_of: Dict[str, QtWidgets.QWidget] = {}
        column.addLayout(self._rows)
        self._strip = Strip(self._apply, self._atelier.preview)
        column.addWidget(self._strip, 1)
        column.addLayout(self._settings())
        column.addStretch()
        self._tabs = QtWidgets.QTabWidget()
        self._tabs.setObjectName("tabs")
        self._tabs.setDocumentMode(True)
        self._tabs.addTab(_Area(body), say("&Paint"))
        self._tabs.addTab(_Area(self._past), say("&History"))
        self.setWidget(self._tabs)
        self._price_timer = QtCore.QTimer(self)
        self._price_timer.setSingleShot(True)
        self._price_timer.timeout.connect(self._ask_price)
        self._form.changed.connect(self._touched)
        self._set_level(self._atelier.level)
        self._atelier.changed.connect(self._refresh)
        self.visibilityChanged.connect(lambda on: self._atelier.look(self, on))
        self._refresh()

    def canvasChanged(self, canvas: Any) -> None:  # noqa: N802, Krita's name
        """Another document is looked at, or none while one is closed."""
        if canvas is not None:  # later, since Krita is amidst changing its windows
            QtCore.QTimer.singleShot(0, lambda: self._atelier.watch())
        self._touched()
        self._show_record()

    # Building

    def _connection(self) -> QtWidgets.QWidget:
        box = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        self._status = Words("status")
        column.addWidget(self._status)
        self._address = QtWidgets.QLineEdit(self._atelier.session.endpoint)
        self._address.setObjectName("address")
        self._address.setPlaceholderText("https://…")
        self._address.setAccessibleName(say("Address of the server"))
        self._address.setReadOnly(self._atelier.fixed)
        self._sign_in = button("sign_in", say("Sign in"), self._do_sign_in)
        column.addWidget(self._address)
        column.addWidget(self._sign_in)
        return box

    def _painting(self) -> QtWidgets.QVBoxLayout:
        column = QtWidgets.QVBoxLayout()
        self._upload = button("upload", say("Upload a LoRA…"), self._choose_lora)
        self._uploading = Words("uploading")
        self._go = button("go", "", self._paint)
        self._cost = Words("cost")
        self._missing = Words("missing")
        self._missing.setVisible(False)
        self._suggestion = Words("suggestion")
        self._yes = button("accept", say("Show me"), lambda: self._answer(True))
        self._no = button("decline", say("No"), lambda: self._answer(False))
        answers = QtWidgets.QHBoxLayout()
        answers.addWidget(self._yes)
        answers.addWidget(self._no)
        for widget in (self._upload, self._uploading, self._missing, self._go, self._cost, self._suggestion):
            column.addWidget(widget)
        column.addLayout(answers)
        return column

    def _settings(self) -> QtWidgets.QVBoxLayout:
        self._level = choice("level", [(say(name), level) for level, name in LEVELS.items()])
        self._level.setCurrentIndex(self._level.findData(self._atelier.level))
        self._level.currentIndexChanged.connect(lambda _index: self._set_level(self._level.currentData()))
        label = QtWidgets.QLabel(say("Sho&w"))
        label.setBuddy(self._level)
        self._level.setAccessibleName(say("How much is shown"))
        row = QtWidgets.QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self._level, 1)
        self._presence = QtWidgets.QCheckBox(say("Keep a GPU awake"))
        self._presence.setObjectName("presence")
        self._presence.setToolTip(
            say("Tells your studio, at most once a minute, that you are at work on the canvas.")
            + " "
            + say(WITHOUT_PRESENCE)
        )
        self._presence.setChecked(self._atelier.session.link.presence)
        self._presence.toggled.connect(self._set_presence)
        self._absence = Words("absence")
        self._absence.setText(say(WITHOUT_PRESENCE))
        self._absence.setVisible(not self._presence.isChecked())
        self._on_canvas = QtWidgets.QCheckBox(say("Grow on the canvas"))
        self._on_canvas.setObjectName("on_canvas")
        self._on_canvas.setToolTip(
            say("The picture is seen where it will be, and is no part of the document. It goes when you paint there.")
        )
        self._on_canvas.setChecked(self._atelier.growth.on_canvas)
        self._on_canvas.toggled.connect(self._set_on_canvas)
        self._record = QtWidgets.QCheckBox(say("Record the making"))
        self._record.setObjectName("record")
        self._record.toggled.connect(self._atelier.set_recorded)
        self._recording = Words("recording")
        self._sign_out = button("sign_out", say("Sign out"), self._atelier.sign_out)
        column = QtWidgets.QVBoxLayout()
        column.addLayout(row)
        column.addWidget(self._on_canvas)
        column.addWidget(self._presence)
        column.addWidget(self._absence)
        column.addWidget(self._record)
        column.addWidget(self._recording)
        column.addWidget(self._sign_out)
        return column

    # What the painter does

    def _do_sign_in(self) -> None:
        if not self._atelier.fixed:
            self._atelier.move(self._address.text())
        self._atelier.sign_in()

    def _set_presence(self, on: bool) -> None:
        self._atelier.set_presence(on)
        self._absence.setVisible(not on)

    def _set_on_canvas(self, on: bool) -> None:
        self._atelier.growth.on_canvas = on

    def _set_level(self, level: Level) -> None:
        self._level.setCurrentIndex(self._level.findData(level))
        self._atelier.set_level(level)
        self._form.set_level(level)
        self._tabs.widget(0).updateGeometry()
        self._upload.setVisible(level is not Level.SIMPLE)
        self._suggest()

    def _answer(self, yes: bool) -> None:
        wanted = self._atelier.answer_suggestion()
        if yes and wanted is not None:
            self._set_level(wanted)
        self._suggest()

    def _wish(self) -> Optional[Wish]:
        try:
            return self._form.wish()
        except ValueError:
            self._cost.setText(say("The JSON cannot be read. Correct it, or empty the field."))
            return None

    def _paint(self) -> None:
        if self._form.kind is Kind.LIVE:
            return self._set_live(self._atelier.live_wish is None)
        wish = self._wish()
        if wish is None:
            return
        self._strip.hide_preview()
        self._missing.setVisible(False)
        try:
            self._atelier.paint(wish)
        except NotReady as why:
            self._cost.setText(str(why))
        else:
            self._atelier.used(wish, self._form.chose_seed)
        self._suggest()

    def _detect(self, mode: str, name: str) -> None:
        self._strip.hide_preview()
        try:
            self._atelier.detect(mode, name)
        except NotReady as why:
            self._cost.setText(str(why))

    def _set_live(self, on: bool) -> None:
        if on:
            self._strip.hide_preview()
        self._atelier.live_wish = self._wish if on else None
        self._show_button()

    def _apply(self, result: Any) -> None:
        self._strip.hide_preview()
        self._cost.setText(self._atelier.apply(result) or "")

    def _choose_lora(self) -> None:
        path, _ = QtWidgets.QFileDialog.getOpenFileName(
            self, say("Upload a LoRA"), "", "LoRA (*.safetensors)"
        )
        if path:
            self._atelier.upload_lora(path)

    def _loras(self) -> List[Tuple[str, Tuple[str, str]]]:
        session = self._atelier.session
        own = [(name.rsplit(".", 1)[0], (name, hash)) for name, hash in session.loras.own]
        return own + [(name.rsplit(".", 1)[0], (name, "")) for name in session.offer.loras]

    def _history(self) -> Optional[History]:
        """What was painted before, while there is a connection."""
        session = self._atelier.session
        return session.history if session.phase is Phase.READY else None

    def _use_again(self, past: Past) -> None:
        self._atelier.use_again(past, self._fill_in)

    def _fill_in(self, wish: Wish, level: Level, gone: List[str]) -> None:
        order = list(Level)
        if order.index(level) > order.index(self._atelier.level):
            self._set_level(level)
        self._form.set_wish(wish)
        self._tabs.setCurrentIndex(0)
        self._missing.setText(say("Not offered any more: {names}", names=", ".join(gone)) if gone else "")
        self._missing.setVisible(bool(gone))

    def _bring(self, past: Past) -> None:
        self._atelier.bring(past, lambda: self._tabs.setCurrentIndex(0))

    def _touched(self) -> None:
        if self._atelier.live_wish is not None and self._form.kind is not Kind.LIVE:
            self._set_live(False)
        self._show_button()
        self._price_timer.start(PRICE_AFTER)

    # What is shown

    def _ask_price(self) -> None:
        wish = self._wish()
        if wish is None:
            return
        self._say_price(None)
        self._price_number += 1
        asked = self._price_number
        self._atelier.price(wish, lambda price: self._say_price(price) if asked == self._price_number else None)

    def _say_price(self, price: Optional[int]) -> None:
        left = self._atelier.session.desk.credits
        parts = [say("Up to {price} credits", price=price)] if price is not None else []
        parts += [say("{left} left", left=left)] if left is not None else []
        self._cost.setText(" · ".join(parts))

    def _show_button(self) -> None:
        name, what = self._form.button_words(self._atelier.live_wish is not None)
        self._go.setText(name)
        self._go.setToolTip(what)

    def _show_record(self) -> None:
        session = self._atelier.session
        records, on = session.records, self._atelier.is_recorded()
        open_ = Krita.instance().activeDocument() is not None
        self._record.setVisible(session.phase is Phase.READY and records.known and open_)
        self._record.setEnabled(not records.busy)
        self._record.blockSignals(True)
        self._record.setChecked(on)
        self._record.blockSignals(False)
        told = say(
            "Each request in this document, with small pictures of it, is recorded for you and whoever leads your team."
        )
        self._record.setToolTip(f"{say(OF_A_CLASS)} {told}" if records.is_class else told)
        said = records.problem or (say(OF_A_CLASS) if on and records.is_class else "")
        self._recording.setText(said)
        self._recording.setVisible(bool(said) and session.phase is Phase.READY)

    def _suggest(self) -> None:
        wanted = self._atelier.suggestion()
        for widget in (self._suggestion, self._yes, self._no):
            widget.setVisible(wanted is not None)
        if wanted is Level.STANDARD:
            self._suggestion.setText(say("There is more: refine, styles, LoRAs and control layers. Show it?"))
        elif wanted is Level.EXPERT:
            self._suggestion.setText(say("There is more: regions, samplers and steps. Show it?"))

    def _refresh(self) -> None:
        session = self._atelier.session
        self._status.setText(self._atelier.words())
        out = session.phase in (Phase.NO_ADDRESS, Phase.SIGNED_OUT, Phase.SIGNING_IN)
        self._address.setVisible(out and not self._atelier.fixed)
        self._sign_in.setVisible(out)
        self._sign_in.setEnabled(session.phase is not Phase.SIGNING_IN)
        self._sign_out.setVisible(not out)
        if session.phase is not Phase.READY:
            self._past.forget()
        elif self._past.isVisible():
            self._past.look()
        self._past.refresh()
        self._show_record()
        self._go.setEnabled(session.phase is Phase.READY)
        offer = (session.offer, session.loras.own)
        if offer != self._offer:
            self._offer = offer
            self._form.renew()
        self._uploading.setText(self._atelier.upload_words())
        self._uploading.setVisible(bool(self._uploading.text()))
        self._upload.setEnabled(session.phase is Phase.READY and not self._atelier.uploads)
        self._show_button()
        self._refresh_jobs(session.desk.jobs)
        if self._strip.show_results(self._atelier.results):
            self._touched()

    def _refresh_jobs(self, jobs: Dict[str, Job]) -> None:
        groups = {it.group: it for it in standings(jobs.values())}
        shown = {id: it for id, it in jobs.items() if it.state not in (State.DONE, State.CANCELED) and not it.group}
        for gone in [id for id in self._row_of if id not in shown and id not in groups]:
            self._row_of.pop(gone).setParent(None)
        growing = jobs.get(self._atelier.session.growing.job or "")
        picture = self._atelier.growth.picture
        for id, job in shown.items():
            self._row(id, lambda job=job: Row(job)).show_job(job, picture if job is growing else None)
        for id, group in groups.items():
            grows = growing is not None and growing.group == id
            self._row(id, lambda id=id: GroupRow(id)).show_group(group, picture if grows else None)

    def _row(self, id: str, make: Callable[[], QtWidgets.QWidget]) -> Any:
        if id not in self._row_of:
            self._row_of[id] = make()
            self._rows.addWidget(self._row_of[id])
        return self._row_of[id]


class _Area(QtWidgets.QScrollArea):
    """Scrolls up and down, and is never narrower than what is in it."""

    def __init__(self, body: QtWidgets.QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(body)

    def minimumSizeHint(self) -> QtCore.QSize:  # noqa: N802, Qt's name
        """Which grows with the font."""
        needed = self.widget().minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        return QtCore.QSize(needed, super().minimumSizeHint().height())
