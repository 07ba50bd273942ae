"""What runs in a Krita: the core, its edges, and the clock between them."""

from __future__ import annotations

import os
import random
import time
import uuid
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Callable, List, Optional

from krita import Krita

from . import canvas
from .core import effects
from .core.jobs import Job, Place
from .core.requests import Kind, Wish, build, join
from .core.session import Phase, Session
from .core.sizes import Area, Rect, around, extent
from .http import Http
from .qt import QtCore, QtGui, QtWidgets
from .socket import Socket
from .store import Store

TICK = 200
"""Milliseconds between two looks at the clock."""
SLEPT = 30.0
"""Seconds between two looks at the clock that only a computer which slept lets pass."""
LIVE_LOOK = 1.0
"""Seconds between two looks of live mode at the canvas without a stroke: an undo, a filter, another prompt."""
MOST_RESULTS = 60
"""Pictures that are kept in memory; the oldest go."""


@dataclass
class Result:
    """A picture that has come."""

    job: Job
    number: int
    image: QtGui.QImage

    @property
    def name(self) -> str:
        """Of its layer."""
        prompt = " ".join(self.job.prompt.split())[:60] or "Picture"
        return f"{prompt} (seed {self.job.seed}{f', {self.number + 1}' if self.number else ''})"


@dataclass
class Request:
    """What the canvas adds to a wish."""

    workflow: dict
    place: Place
    context: Optional[Rect]
    size: Any
    area: Optional[Area]


class Atelier(QtCore.QObject):
    """The one of this Krita."""

    changed = QtCore.pyqtSignal()
    """Something that is shown has changed."""

    def __init__(self) -> None:
        super().__init__()
        home = QtCore.QStandardPaths.writableLocation(QtCore.QStandardPaths.StandardLocation.AppDataLocation)
        self._store = Store(Path(home) / "atelier")
        self.fixed = bool(os.environ.get("KRITA_AI_ENDPOINT"))
        """The environment names the address."""
        address = os.environ.get("KRITA_AI_ENDPOINT") or Krita.instance().readSetting("atelier", "address", "")
        self._own_token = os.environ.get("KRITA_AI_TOKEN") if self.fixed else None
        self.session = Session(address, self._store.jobs(), random.random, lambda: str(uuid.uuid4()))
        self.session.use_token(self._own_token or self._store.token(self.session.endpoint))
        self.session.desk.read_blob = self._store.blob
        self.session.link.presence = Krita.instance().readSetting("atelier", "presence", "true") == "true"
        self.results: List[Result] = []
        self.live_wish: Optional[Callable[[], Wish]] = None
        """While live mode is on: what to paint."""
        self._live_seen = b""
        self._live_due = 0.0
        self._said = ""
        self._looked = time.time()
        self.trouble: Optional[str] = None
        """What this computer cannot do."""
        self._http = Http(lambda number, reply: self._do(lambda now: self.session.answered(now, number, reply)))
        self._socket = Socket(
            lambda: self._do(self.session.socket_opened),
            lambda text: self._do(lambda now: self.session.socket_said(now, text)),
            lambda: self._do(self.session.socket_closed),
        )
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK)

    # What the painter does

    def move(self, address: str) -> None:
        """Another address."""
        Krita.instance().writeSetting("atelier", "address", address)
        self._do(lambda now: self.session.move(now, address))

    def sign_in(self) -> None:
        """By the browser."""
        self._do(self.session.sign_in)

    def sign_out(self) -> None:
        """Forgets the token."""
        self._do(lambda now: self.session.sign_out())

    def set_presence(self, on: bool) -> None:
        """Whether the studio is told that the painter paints."""
        self.session.link.presence = on
        Krita.instance().writeSetting("atelier", "presence", "true" if on else "false")

    def prepare(self, wish: Wish) -> Optional[Request]:
        """The request for this wish on the active document; none without a document."""
        document = Krita.instance().activeDocument()
        if document is None:
            return None
        whole, selected = canvas.bounds(document), canvas.selection(document)
        name = canvas.document_id(document)
        if wish.kind is Kind.GENERATE:
            rect = selected or whole
            workflow, _ = build(wish, self.session.offer, rect.size, None)
            return Request(workflow, Place(name, rect.x, rect.y, *rect.size), None, None, None)
        if wish.kind is Kind.FILL and selected is None:
            return None
        area = around(selected, whole, wish.strength, wish.checkpoint.arch) if selected else None
        context = area.context if area else whole
        initial = extent(context.size, wish.checkpoint.arch, two_passes=False).initial
        shrinks = context.width * context.height > initial[0] * initial[1]
        size = initial if shrinks else context.size
        workflow, _ = build(wish, self.session.offer, context.size, area, size)
        rect = area.bounds if area else context
        return Request(workflow, Place(name, rect.x, rect.y, *rect.size), context, size, area)

    def paint(self, wish: Wish) -> Optional[str]:
        """Sends a request, and gives its job's id; none if the canvas is not ready for it."""
        request = self.prepare(wish)
        if request is None:
            return None
        document = Krita.instance().activeDocument()
        pictures = []
        if request.context is not None:
            pictures.append(canvas.picture(document, request.context, request.size))
        if request.area is not None:
            pictures.append(canvas.mask(document, request.area.context))
        blob, offsets = join(pictures)
        live = wish.kind is Kind.LIVE
        if live:
            seen = sha256(blob + repr((wish, request.place)).encode()).digest()
            if seen == self._live_seen:
                return None
            self._live_seen = seen
        job = Job(str(uuid.uuid4()), wish.prompt, wish.seed, request.place, request.workflow, offsets, live=live)
        self._do(lambda now: self.session.submit(now, job, blob))
        return job.id

    def cancel(self, job: str) -> None:
        """Whatever stage it is in."""
        self._do(lambda now: self.session.desk.cancel(now, job))

    def again(self, job: str) -> None:
        """Sends it once more."""
        self._do(lambda now: self.session.again(now, job))

    def forget(self, job: str) -> None:
        """Takes it off the list."""
        self._do(lambda now: self.session.desk.forget(job))

    def price(self, wish: Wish, then: Callable[[Optional[int]], None]) -> None:
        """Asks what a wish may cost."""
        request = self.prepare(wish)
        if request is not None:
            self._do(lambda now: self.session.price(request.workflow, then))

    def apply(self, result: Result) -> bool:
        """Puts a picture where it belongs, as a layer; false if no document is open."""
        document = canvas.document_by(result.job.place.document)
        if document is None:
            return False
        image, place = result.image, result.job.place
        canvas.add_layer(document, result.name, image, (place.x, place.y))
        return True

    # What happens

    def watch(self) -> None:
        """Hears of strokes on the canvases of the window that the painter looks at."""
        if Krita.instance().activeDocument() is None:
            return
        for widget in Krita.instance().activeWindow().qwindow().findChildren(QtWidgets.QWidget):
            if "Canvas" in widget.metaObject().className():
                widget.installEventFilter(self)  # once, however often it is said

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802, Qt's name
        """A stroke ends on the canvas: whoever paints is there."""
        kinds = (QtCore.QEvent.Type.MouseButtonRelease, QtCore.QEvent.Type.TabletRelease)
        if event.type() in kinds:
            self._live_due = 0.0
            self._do(lambda now: self.session.link.painted(now))
        return False

    def _tick(self) -> None:
        now, before, self._looked = time.monotonic(), self._looked, time.time()
        self._do(self.session.woke if self._looked - before > SLEPT else self.session.tick)
        if self.live_wish is None or self.session.phase is not Phase.READY or now < self._live_due:
            return
        resting = QtGui.QGuiApplication.mouseButtons() == QtCore.Qt.MouseButton.NoButton
        if resting and not self.session.live_is_busy():
            self._live_due = now + LIVE_LOOK
            self.paint(self.live_wish())

    def _do(self, what: Callable[[float], None]) -> None:
        what(time.monotonic())
        for effect in self.session.take():
            try:
                self._perform(effect)
            except OSError as wrong:
                self.trouble = f"Nothing can be stored on this computer ({wrong.strerror}). Do not close Krita amid a picture."
        words = self._words()
        if words != self._said:
            self._said = words
            self.changed.emit()

    def _words(self) -> str:
        now = time.monotonic()
        jobs = "|".join(f"{it.id}{it.words(now)}" for it in self.session.desk.jobs.values())
        return f"{self.words()}|{self.session.desk.credits}|{len(self.results)}|{jobs}"

    def words(self) -> str:
        """Where the connection stands, and what is wrong with this computer."""
        return " ".join(filter(None, (self.session.words(), self.trouble)))

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, effects.Call):
            self._http.send(effect)
        elif isinstance(effect, effects.OpenSocket):
            self._socket.open(effect.url, effect.token)
        elif isinstance(effect, effects.SendSocket):
            self._socket.send(effect.text)
        elif isinstance(effect, effects.CloseSocket):
            self._socket.close()
        elif isinstance(effect, effects.OpenBrowser):
            QtGui.QDesktopServices.openUrl(QtCore.QUrl(effect.url))
        elif isinstance(effect, effects.KeepToken):
            self._store.keep_token(effect.address, effect.token)
        elif isinstance(effect, effects.KeepJobs):
            self._store.keep_jobs(effect.document)
        elif isinstance(effect, effects.KeepBlob):
            self._store.keep_blob(effect.name, effect.data)
        elif isinstance(effect, effects.Deliver):
            self._take(effect)

    def _take(self, delivery: effects.Deliver) -> None:
        for number, file in enumerate(delivery.pictures):
            image = canvas.decode(file)
            if image is not None:
                self.results.append(Result(delivery.job, number, image))
            elif not delivery.job.live:
                self.session.desk.unreadable(delivery.job)
        del self.results[:-MOST_RESULTS]


_atelier: Optional[Atelier] = None


def atelier() -> Atelier:
    """The one of this Krita, made when it is first needed."""
    global _atelier
    if _atelier is None:
        _atelier = Atelier()
    return _atelier
