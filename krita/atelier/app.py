"""What runs in a Krita: the core, its edges, and the clock between them."""

from __future__ import annotations

import contextlib
import os
import random
import time
import uuid
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from krita import Krita

from . import canvas
from .core import effects
from .core.again import again
from .core.history import History, Past
from .core.jobs import Job, Place
from .core.levels import Level, Use
from .core.loras import Upload
from .core.requests import Kind, Wish, join
from .core.session import Phase, Session
from .core.tongue import file_for, learn, say
from .growth import Growth
from .hashing import Hashing
from .http import Http
from .overlay import Overlay
from .painting import NotReady, detection, prepare
from .qt import QtCore, QtGui, QtWidgets
from .results import MOST_RESULTS, Result, of_before
from .socket import Socket
from .store import Store

TICK = 200
"""Milliseconds between two looks at the clock."""
SLEPT = 30.0
"""Seconds between two looks at the clock that only a computer which slept lets pass."""
LIVE_LOOK = 1.0
"""Seconds between two looks of live mode at the canvas without a stroke: an undo, a filter, another prompt."""


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
        _learn_language()
        self.session = Session(
            address, self._store.jobs(), random.random, lambda: str(uuid.uuid4()), self._store.read("loras.json")
        )
        self.level = Level(_known(Krita.instance().readSetting("atelier", "level", ""), [it.value for it in Level]))
        self._use = Use(self._store.read("use.json"))
        self._preview = Overlay()
        self._hashing: Optional[Hashing] = None
        self.session.use_token(self._own_token or self._store.token(self.session.endpoint))
        self.session.desk.read_blob = self._store.blob
        self.session.link.presence = Krita.instance().readSetting("atelier", "presence", "true") == "true"
        self.results: List[Result] = []
        self.growth = Growth(self.session)
        self._lookers: Set[QtWidgets.QWidget] = set()
        self.live_wish: Optional[Callable[[], Optional[Wish]]] = None
        """While live mode is on: what to paint."""
        self._live_seen = b""
        self._live_due = self._layers_due = 0.0
        self._layers: Optional[tuple] = None
        """The active layer, and how many there are."""
        self._said = ""
        self._looked = time.time()
        self.trouble: Optional[str] = None
        """What this computer cannot do."""
        self._http = Http(
            lambda number, reply: self._do(lambda now: self.session.answered(now, number, reply)),
            lambda number, share: self._do(lambda _now: self.session.moved(number, share)),
        )
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

    def paint(self, wish: Wish) -> Optional[str]:
        """Sends a request, and gives its job's id; none if live mode would send the same once more. Raises `NotReady`."""
        request = prepare(Krita.instance().activeDocument(), wish, self.session.offer)
        blob, offsets = join([take() for take in request.pictures])
        live = wish.kind is Kind.LIVE
        if live:
            seen = sha256(blob + repr((wish, request.place)).encode()).digest()
            if seen == self._live_seen:
                return None
            self._live_seen = seen
        job = Job(str(uuid.uuid4()), wish.prompt, wish.seed, request.place, request.workflow, offsets, live=live)
        job.variants = wish.variants.document()
        job.record = canvas.record_name(Krita.instance().activeDocument())
        self._do(lambda now: self.session.submit(now, job, blob))
        return job.id

    def detect(self, mode: str, name: str) -> None:
        """Makes a control layer of the canvas. Raises `NotReady`."""
        request = detection(Krita.instance().activeDocument(), mode, name)
        blob, offsets = join([take() for take in request.pictures])
        job = Job(str(uuid.uuid4()), name, 0, request.place, request.workflow, offsets)
        self._do(lambda now: self.session.submit(now, job, blob))

    def set_level(self, level: Level) -> None:
        """How much is shown."""
        self.level = level
        Krita.instance().writeSetting("atelier", "level", level.value)

    def used(self, wish: Wish, chose_seed: bool) -> None:
        """A wish was sent, which may show what the painter wants to see."""
        self._use.painted(wish, chose_seed)
        self._keep_use()

    def suggestion(self) -> Optional[Level]:
        """A level to suggest now."""
        return self._use.suggestion(self.level)

    def answer_suggestion(self) -> Optional[Level]:
        """It will not be suggested again; gives which level it was."""
        wanted = self.suggestion()
        if wanted is not None:
            self._use.suggested(wanted)
            self._keep_use()
        return wanted

    def _keep_use(self) -> None:
        with contextlib.suppress(OSError):  # then it is suggested once more
            self._store.keep("use.json", self._use.keep())

    def upload_lora(self, path: str) -> None:
        """Hashes a file, piece by piece, and sends it."""
        self.session.loras.forget()
        self._hashing = Hashing(path, self._hashed)
        self._do(lambda _now: None)

    def _hashed(self, upload: Upload) -> None:
        self._hashing = None
        self._do(lambda now: self.session.loras.send(now, upload))

    @property
    def uploads(self) -> bool:
        """Whether a file is on its way."""
        upload = self.session.loras.upload
        return self._hashing is not None or (upload is not None and upload.error is None)

    def upload_words(self) -> str:
        """Where the file stands that is on its way, or why it is not."""
        if self._hashing is not None:
            return say("Reading the file")
        return self.session.loras.upload.words() if self.session.loras.upload is not None else ""

    def preview(self, result: Optional[Result]) -> None:
        """Shows a picture on its canvas, or none."""
        document, place = _where(result) if result is not None else (None, None)
        if result is None or document is None:
            self._preview.hide()
        else:
            self._preview.show(result.image, place)

    def look(self, looker: QtWidgets.QWidget, on: bool) -> None:
        """Whether a widget can be seen that shows pictures as they grow."""
        (self._lookers.add if on else self._lookers.discard)(looker)

    def _is_seen(self) -> bool:
        if self.growth.is_seen():
            return True
        for it in list(self._lookers):
            try:
                if not it.window().isMinimized():
                    return True
            except RuntimeError:  # its window was closed
                self._lookers.discard(it)
        return False

    def is_recorded(self) -> bool:
        """Whether the studio records how the document is made that the painter looks at."""
        document = Krita.instance().activeDocument()
        return document is not None and self.session.records.is_on(canvas.record_name(document))

    def set_recorded(self, on: bool) -> None:
        """The painter's word for this document."""
        document = Krita.instance().activeDocument()
        if document is not None:
            name = canvas.record_name(document, make=True)
            self._do(lambda _now: self.session.records.say(name, canvas.title(document), on))

    def with_history(self, what: Callable[[History], None]) -> None:
        """Does something with what was painted before."""
        self._do(lambda _now: what(self.session.history))

    def use_again(self, past: Past, then: Callable[[Wish, Level, List[str]], None]) -> None:
        """Asks for what an entry was asked with."""

        def came(asked: Optional[Dict[str, Any]]) -> None:
            if asked is not None:
                then(*again(asked, self.session.offer, self.session.loras.own))

        self.with_history(lambda it: it.parameters(past, came))

    def bring(self, past: Past, then: Callable[[], None]) -> None:
        """Puts the pictures of an entry among the results."""

        def came(asked: Optional[Dict[str, Any]], files: Optional[Tuple[bytes, ...]]) -> None:
            found = list(of_before(past, asked or {}, files or (), self.session.desk.jobs.values()))
            self.results.extend(found)
            del self.results[:-MOST_RESULTS]
            if found:
                then()

        self.with_history(lambda it: it.pictures(past, came))

    def open(self, url: str) -> None:
        """Shows an address in the browser."""
        QtGui.QDesktopServices.openUrl(QtCore.QUrl(url))

    def cancel(self, job: str) -> None:
        """Whatever stage it is in."""
        self._do(lambda now: self.session.desk.cancel(now, job))

    def cancel_group(self, group: str) -> None:
        """All that is to come of a group of variants."""
        self._do(lambda now: self.session.desk.groups.cancel(now, group))

    def forget_group(self, group: str) -> None:
        """Takes its variants off the list that are over."""
        self._do(lambda _now: self.session.desk.groups.forget(group))

    def send_again(self, job: str) -> None:
        """Sends it once more."""
        self._do(lambda now: self.session.again(now, job))

    def forget(self, job: str) -> None:
        """Takes it off the list."""
        self._do(lambda now: self.session.desk.forget(job))

    def price(self, wish: Wish, then: Callable[[Optional[int]], None]) -> None:
        """Asks what a wish may cost."""
        with contextlib.suppress(NotReady):
            request = prepare(Krita.instance().activeDocument(), wish, self.session.offer)
            self._do(lambda now: self.session.price(request.workflow, wish.variants.document(), then))

    def apply(self, result: Result) -> Optional[str]:
        """Puts a picture where it belongs, as a layer; gives words if that is not quite so."""
        document, place = _where(result)
        if document is None:
            return say("Open a picture first.")
        canvas.put(document, result.name, result.image, place)
        task, records = result.job.task, self.session.records
        if task is not None and records.is_on(result.job.record):
            self._do(lambda _now: records.applied(task, result.number))
        return None if place.document == result.job.place.document else say("Its own document is closed: it was put on this one.")

    # What happens

    def watch(self) -> None:
        """Hears of strokes on the canvases of the window that the painter looks at."""
        if Krita.instance().activeDocument() is None:
            return
        for widget in Krita.instance().activeWindow().qwindow().findChildren(QtWidgets.QWidget):
            if "Canvas" in widget.metaObject().className():
                widget.installEventFilter(self)  # once, however often it is said

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802, Qt's name
        """A stroke ends on the canvas, or a tool is used: whoever paints is there."""
        if event.type() in (QtCore.QEvent.Type.MouseButtonPress, QtCore.QEvent.Type.TabletPress):
            self.growth.painted()
        kinds = (QtCore.QEvent.Type.MouseButtonRelease, QtCore.QEvent.Type.TabletRelease, QtCore.QEvent.Type.KeyRelease)
        if event.type() in kinds:
            self._live_due = 0.0
            self._do(self.session.link.painted)
        return False

    def _tick(self) -> None:
        now, before, self._looked = time.monotonic(), self._looked, time.time()
        self.session.growing.looks = self._is_seen()
        self._do(self.session.woke if self._looked - before > SLEPT else self.session.tick)
        if now >= self._layers_due:
            self._layers_due = now + LIVE_LOOK
            self._look_at_layers()
        if self.live_wish is None or self.session.phase is not Phase.READY or now < self._live_due:
            return
        resting = QtGui.QGuiApplication.mouseButtons() == QtCore.Qt.MouseButton.NoButton
        if resting and not self.session.live_is_busy():
            self._live_due = now + LIVE_LOOK
            wish = self.live_wish()
            with contextlib.suppress(NotReady):
                if wish is not None:
                    self.paint(wish)

    def _look_at_layers(self) -> None:
        document = Krita.instance().activeDocument()
        node = document.activeNode() if document is not None else None
        count = len(document.topLevelNodes()) if document is not None else 0
        seen = (canvas.layer_id(node), count) if node is not None else None
        if seen is not None and self._layers not in (None, seen):
            self._do(self.session.link.painted)
        self._layers = seen

    def _do(self, what: Callable[[float], None]) -> None:
        what(time.monotonic())
        for effect in self.session.take():
            try:
                self._perform(effect)
                self.trouble = None if isinstance(effect, effects.KeepJobs) else self.trouble
            except OSError as wrong:
                self.trouble = say(
                    "Nothing can be stored on this computer ({why}). Do not close Krita amid a picture.", why=wrong.strerror
                )
        words, grown = self._words(), self.growth.renew()
        if words != self._said or grown:
            self._said = words
            self.growth.show()
            self.changed.emit()

    def _words(self) -> str:
        now = time.monotonic()
        jobs = "|".join(f"{it.id}{it.words(now)}" for it in self.session.desk.jobs.values())
        past = self.session.history
        listed = f"{past.words()}{past.busy}{len(past.thumbnails)}{len(past.asked)}{past.goes_on}{[(it.task, it.kept) for it in past.entries]}"
        records = self.session.records
        listed += f"{records.problem}{records.busy}{records.known}"
        results = len(self.results) and id(self.results[-1])
        return f"{self.words()}|{self.session.desk.credits}|{results}|{self.upload_words()}|{jobs}|{listed}"

    def words(self) -> str:
        """Where the connection stands, and what is wrong with this computer."""
        return " ".join(filter(None, (self.session.words(), self.trouble)))

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, effects.Call):
            self._http.send(effect)
        elif isinstance(effect, effects.Approach):
            self._http.approach(effect.url)
        elif isinstance(effect, effects.OpenSocket):
            self._socket.open(effect.url, effect.token)
        elif isinstance(effect, effects.SendSocket):
            self._socket.send(effect.text)
        elif isinstance(effect, effects.CloseSocket):
            self._socket.close()
        elif isinstance(effect, effects.OpenBrowser):
            self.open(effect.url)
        elif isinstance(effect, effects.KeepToken):
            self._store.keep_token(effect.address, effect.token)
        elif isinstance(effect, effects.KeepJobs):
            self._store.keep_jobs(effect.document)
        elif isinstance(effect, effects.KeepBlob):
            self._store.keep_blob(effect.name, effect.data)
        elif isinstance(effect, effects.KeepLoras):
            self._store.keep("loras.json", effect.document)
        elif isinstance(effect, effects.Deliver):
            self._take(effect)

    def _take(self, delivery: effects.Deliver) -> None:
        for number, file in enumerate(delivery.pictures):
            image = canvas.decode(file)
            document, is_its_own = canvas.document_by(delivery.job.place.document)
            if image is not None and delivery.job.place.layer and is_its_own:
                # Hidden, since it is to guide pictures and not to be part of them.
                canvas.add_layer(document, delivery.job.place.layer, image, (0, 0), visible=False)
            elif image is not None:
                self.results.append(Result(delivery.job, number, image))
            elif not delivery.job.live:
                self.session.desk.unreadable(delivery.job)
        del self.results[:-MOST_RESULTS]


def _where(result: Result) -> Tuple[Optional[Any], Place]:
    """The document that a picture goes to, and where there. Another one than its own stays as large as it is."""
    place = result.job.place
    document, is_its_own = canvas.document_by(place.document)
    if document is None or is_its_own:
        return document, place
    return document, replace(place, document=canvas.document_id(document), enlarges=False)


def _known(value: str, values: List[str]) -> str:
    return value if value in values else values[0]


def _learn_language() -> None:
    chosen = next(filter(None, map(os.environ.get, ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))), "")
    name = file_for([*filter(None, chosen.split(":")), *QtCore.QLocale.system().uiLanguages()])
    if name:
        learn((Path(__file__).parent / "translations" / name).read_text(encoding="utf-8"))


_atelier: Optional[Atelier] = None


def atelier() -> Atelier:
    """The one of this Krita, made when it is first needed."""
    global _atelier
    if _atelier is None:
        _atelier = Atelier()
    return _atelier
