#!/usr/bin/env python3
"""Opens the docker's widgets with whatever Qt this Python has and no Krita, and looks at them: `opened.py FOLDER [LANGUAGE]`.

Leaves a picture of each level in the folder, and says on its last line what is cut off, as a list of JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
out = Path(sys.argv[1])
os.environ.update(HOME=str(out), XDG_DATA_HOME=str(out / "data"), LANGUAGE=sys.argv[2] if len(sys.argv) > 2 else "en")
os.environ.pop("KRITA_AI_ENDPOINT", None)
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "atelier"), str(HERE.parent)]
try:
    from PyQt6 import QtCore, QtGui, QtWidgets
except ImportError:
    from PyQt5 import QtCore, QtGui, QtWidgets

WIDTH = 280
application = QtWidgets.QApplication([])
if len(sys.argv) > 3:
    font = application.font()
    font.setPointSizeF(font.pointSizeF() * float(sys.argv[3]))
    application.setFont(font)
if len(sys.argv) > 4 and sys.argv[4] == "dark":
    application.setStyle("Fusion")
    dark, light = QtGui.QColor(49, 54, 59), QtGui.QColor(239, 240, 241)
    palette = QtGui.QPalette(dark)
    for role in ("WindowText", "Text", "ButtonText", "BrightText", "ToolTipText"):
        palette.setColor(getattr(QtGui.QPalette.ColorRole, role), light)
    palette.setColor(QtGui.QPalette.ColorRole.PlaceholderText, QtGui.QColor(140, 145, 150))
    palette.setColor(QtGui.QPalette.ColorRole.Base, QtGui.QColor(35, 38, 41))
    application.setPalette(palette)


import no_krita  # noqa: E402, F401
from atelier import app  # noqa: E402
from atelier.core.history import Past, Sheet  # noqa: E402
from atelier.core.jobs import Job, Place, State  # noqa: E402
from atelier.core.levels import Level  # noqa: E402
from atelier.core.offer import Offer  # noqa: E402
from atelier.core.requests import Kind, Lora, Sampling, Wish  # noqa: E402
from atelier.core.session import Phase  # noqa: E402
from atelier.core.styles import STYLES  # noqa: E402
from atelier.docker import Docker  # noqa: E402
from world import RESOURCES  # noqa: E402

SAMPLED = Sampling("euler", None, 33, 4.5)


def settle():
    for _ in range(5):
        application.processEvents()


def cut_off(docker):
    """Texts that are wider or higher than their widget, and widgets that stick out."""
    found = []
    scaled = len(sys.argv) > 3 and float(sys.argv[3]) > 1
    if docker.width() > WIDTH and not scaled:
        found.append(f"the docker is {docker.width()} pixels wide")
    area = docker.widget().currentWidget()
    body = area.widget()
    if body.minimumSizeHint().width() > area.viewport().width():
        found.append(f"the form needs {body.minimumSizeHint().width()} pixels")
    for kind in (QtWidgets.QAbstractButton, QtWidgets.QLabel, QtWidgets.QAbstractSpinBox):
        for it in docker.findChildren(kind):
            if not it.isVisible() or isinstance(it.parent(), QtWidgets.QAbstractScrollArea):
                continue
            wraps = isinstance(it, QtWidgets.QLabel) and it.wordWrap()
            needs = it.heightForWidth(it.width()) if wraps else it.minimumSizeHint().width()
            has = it.height() if wraps else it.width()
            text = it.text() if hasattr(it, "text") else it.objectName()
            if needs > has:
                found.append(f"{it.objectName() or text!r} needs {needs} and has {has}")
    listed = docker.findChild(QtWidgets.QListWidget, "history")
    margin = listed.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_FocusFrameHMargin) + 1
    beside = listed.viewport().width() - listed.iconSize().width() - 2 * listed.spacing() - 4 * margin
    for it in map(listed.item, range(listed.count() if listed.isVisible() else 0)):
        wrapped = QtCore.Qt.TextFlag.TextWordWrap
        needs = listed.fontMetrics().boundingRect(0, 0, beside, 0, wrapped, it.text()).height()
        has = listed.visualItemRect(it).height()
        if needs > has:
            found.append(f"{it.text()!r} needs {needs} and has {has}")
    return found


def unnamed(docker):
    """Widgets that the keyboard does not reach, or that have no name for who cannot see them."""
    found = []
    for it in docker.findChildren(QtWidgets.QWidget):
        fields = (QtWidgets.QComboBox, QtWidgets.QAbstractSpinBox, QtWidgets.QPlainTextEdit, QtWidgets.QLineEdit)
        inner = isinstance(it.parent(), (QtWidgets.QAbstractSpinBox, QtWidgets.QComboBox))
        if isinstance(it, (*fields, QtWidgets.QAbstractButton)) and it.isVisible() and not inner:
            if it.focusPolicy() in (QtCore.Qt.FocusPolicy.NoFocus, QtCore.Qt.FocusPolicy.ClickFocus):
                found.append(f"{it.objectName()} is not reached by Tab")
            if isinstance(it, fields) and not it.accessibleName():
                found.append(f"{it.objectName()} has no name")
    return found


def job(number, state, **more):
    it = Job(f"job-{number}", "a lighthouse at dusk", 7, Place("", 0, 0, 64, 64), {}, [], state=state)
    for name, value in more.items():
        setattr(it, name, value)
    return it


def picture(hue):
    image = QtGui.QImage(512, 512, QtGui.QImage.Format.Format_RGB32)
    painter = QtGui.QPainter(image)
    painter.fillRect(image.rect(), QtGui.QColor.fromHsv(hue, 120, 200))
    painter.setBrush(QtGui.QColor.fromHsv(hue, 80, 60))
    painter.drawEllipse(120, 330, 500, 300)
    painter.end()
    return image


def blurred(image):
    """As previews are halfway."""
    smooth = QtCore.Qt.TransformationMode.SmoothTransformation
    return image.scaled(24, 24).scaled(384, 384, QtCore.Qt.AspectRatioMode.KeepAspectRatio, smooth)


docker = Docker()
docker.resize(WIDTH, 820)
docker.show()
settle()
faults = []


def look(name):
    settle()
    docker.resize(WIDTH, min(1100, docker.widget().currentWidget().widget().sizeHint().height() + 120))
    settle()
    docker.grab().save(str(out / f"{name}.png"))
    faults.extend(f"{name}: {it}" for it in cut_off(docker) + unnamed(docker))


one = app.atelier()
look("signed-out")
session = one.session
session.phase, session.name, session.offer, session.desk.credits = Phase.READY, "Mara", Offer.parse({**RESOURCES, "loras": ["ink.safetensors"]}), 884
session.tick = lambda _now: None
jobs = session.desk.jobs
docker.findChild(QtWidgets.QPlainTextEdit, "prompt").setPlainText("a lighthouse at dusk, gulls")
one.changed.emit()
docker._say_price(16)
look("simple")
for number, hue in enumerate((200, 20)):
    one.results.append(app.Result(job(90 + number, State.DONE), number, picture(hue)))
for level in (Level.STANDARD, Level.EXPERT):
    docker._set_level(level)
    one.changed.emit()
    docker._say_price(16)
    look(level.value)
docker._set_level(Level.SIMPLE)
one.results.clear()
for name, it in (
    ("waking", job(1, State.QUEUED, note="A GPU is waking up; this takes one or two minutes.", eta=90)),
    ("queued", job(2, State.QUEUED, note="Waiting for a GPU to be free.", position=3, eta=20)),
    ("growing", job(3, State.RUNNING, progress=0.45)),
    ("failed", job(4, State.FAILED, error="This needs up to 40 credits; 12 of this month's 1000 are free. Ask for"
                   " fewer or smaller pictures, wait for those on the way, or ask your studio for more credits.")),
):
    it.heard = time.monotonic()
    jobs.clear()
    jobs[it.id] = it
    session.growing.job, one.growth.picture = it.id, blurred(picture(200)) if name == "growing" else None
    one.changed.emit()
    docker._say_price(16)
    look(name)
jobs.clear()
for number in range(12):
    state = (State.DONE, State.RUNNING, State.QUEUED)[min(number // 4, 2)]
    it = job(20 + number, state, progress=0.4, group="group-1", label=f"seed {number}", task=f"variant-{number}")
    jobs[it.id] = it
jobs["job-31"].state, jobs["job-31"].error = State.FAILED, "The render ran out of memory. Ask for a smaller picture."
session.growing.job, one.growth.picture = "job-24", blurred(picture(20))
one.changed.emit()
docker._say_price(16)
look("variants")
jobs.clear()
one.changed.emit()
past = session.history
past.look = lambda: None
for number, (state, prompt, pictures) in enumerate(
    (
        ("succeeded", "a lighthouse at dusk, gulls, a storm far out over the sea, oil on canvas", 1),
        ("succeeded", "", 4),
        ("failed", "a fox", 0),
    )
):
    past.entries.append(Past(f"task-{number}", state, 1.7e9 - 900 * number, "generate", prompt, pictures, ""))
file = QtCore.QBuffer()
file.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
picture(200).scaled(128, 128).save(file, "PNG")
past.thumbnails["task-0"], past._next = bytes(file.data()), "more"
docker.widget().setCurrentIndex(1)
one.changed.emit()
look("history")
page = docker.findChild(QtWidgets.QPushButton, "sheets").parentWidget()
browsed = []
page._browse = browsed.append
page._offer([Sheet(1.7e9, 12, "seed 1 & more", "http://127.0.0.1/sheet"), Sheet(1.6e9, 96, "a fox", "http://127.0.0.1/two")])
page._menu.actions()[1].trigger()
faults.extend([] if browsed == ["http://127.0.0.1/two"] else [f"the browser is shown {browsed}"])
page._menu.hide()
past.entries.clear()
past._next, past.problem = None, "The server at studio.example does not answer. It is tried again by itself."
one.changed.emit()
look("history-failed")
past.problem = None
for wanted, level in (
    (Wish(Kind.REFINE, "a fox", "snow", STYLES[2], session.offer.checkpoints[0], 0.4, 3, 12, sampling=SAMPLED), Level.EXPERT),
    (Wish(Kind.GENERATE, "an owl", checkpoint=session.offer.checkpoints[0], loras=(Lora("ink.safetensors", 0.5),)), Level.STANDARD),
):
    docker._fill_in(wanted, level, ["old.safetensors"])
    found = docker._form.wish()
    faults.extend([] if found == wanted else [f"filled in as {found}"])
    faults.extend([] if docker.widget().currentIndex() == 0 else ["the form is not seen"])
look("filled-in")
docker._set_level(Level.EXPERT)
for name in ("add_controls", "add_loras", "add_regions"):
    docker.findChild(QtWidgets.QToolButton, name).click()
for kind in range(docker.findChild(QtWidgets.QComboBox, "kind").count()):
    docker.findChild(QtWidgets.QComboBox, "kind").setCurrentIndex(kind)
    look(f"kind-{kind}")
print(json.dumps(faults, ensure_ascii=False))
