"""A painter's hands in a real Krita, for the whole-flow test: clicks through the docker and writes down what it shows.

ATELIER_DRIVE names the folder for the report, ATELIER_SCENE the function below that is played.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from krita import Extension, Krita, Selection
from PyQt5 import QtWidgets
from PyQt5.QtCore import QTimer

OUT = Path(os.environ["ATELIER_DRIVE"])
PATIENCE = 45.0  # seconds for anything
LOOK = 20  # milliseconds
SIDE = 512
SELECTION = (100, 120, 200, 160)


class Hands:
    """The docker's widgets by their names."""

    def __init__(self):
        main = Krita.instance().activeWindow().qwindow()
        self.main = main
        self.docker = main.findChild(QtWidgets.QDockWidget, "atelier")
        self.docker.setFloating(True)
        self.docker.resize(280, 760)
        self.docker.show()
        self.heard = []

    def at(self, name, kind=QtWidgets.QWidget):
        return self.docker.findChild(kind, name)

    def choose(self, name, text):
        box = self.at(name)
        index = box.findText(text)
        assert index >= 0, f"{name} offers no {text}"
        box.setCurrentIndex(index)

    def click(self, name):
        button = self.at(name)
        assert button.isVisible() and button.isEnabled(), f"{name} cannot be clicked"
        button.click()

    def listen(self):
        """Keeps each new word about a job."""
        for label in self.docker.findChildren(QtWidgets.QLabel, "job"):
            if label.text() and (not self.heard or self.heard[-1] != label.text()):
                self.heard.append(label.text())

    @property
    def results(self):
        return self.at("results").count()

    def look(self, name):
        for part, widget in (("window", self.main), ("docker", self.docker)):
            widget.grab().save(str(OUT / f"{name}-{part}.png"))


def layers(document):
    return [
        {"name": node.name(), "bounds": list(node.bounds().getRect())}
        for node in document.topLevelNodes()
        if node.type() == "paintlayer"
    ]


def new_document(model="RGBA", depth="U8"):
    krita = Krita.instance()
    document = krita.createDocument(SIDE, SIDE, "drive", model, depth, "", 300.0)
    document.setBatchmode(True)
    krita.activeWindow().addView(document)
    document.waitForDone()
    return document


def selected():
    it = Selection()
    it.select(*SELECTION, 255)
    return it


def ready(hands):
    yield lambda: hands.at("status").text().startswith("Connected as") and hands.at("checkpoint").count() > 0
    hands.choose("checkpoint", "dreamshaper_8")


def painted(hands, document, report, name, prompt, seed="7"):
    """One picture from the click to the layer."""
    hands.heard.clear()
    before = hands.results
    hands.at("prompt").setPlainText(prompt)
    hands.at("seed").setText(seed)
    hands.click("go")
    yield lambda: hands.results > before
    hands.click("apply")
    document.waitForDone()
    report["jobs"][name] = {"heard": list(hands.heard), "layers": layers(document)}
    hands.look(name)


def everything(hands, report):
    """Text to image, undo, refine, fill, live, cancel."""
    document = new_document()
    yield from ready(hands)
    yield lambda: hands.at("status").text() == "Connected as painter"
    hands.choose("kind", "Generate")
    yield from painted(hands, document, report, "generate", "a red square")
    Krita.instance().action("edit_undo").trigger()
    yield lambda: len(layers(document)) == 1
    Krita.instance().action("edit_redo").trigger()
    yield lambda: len(layers(document)) == 2
    hands.choose("kind", "Refine")
    yield from painted(hands, document, report, "refine", "a blue square", "8")
    document.setSelection(selected())
    hands.choose("kind", "Fill")
    yield from painted(hands, document, report, "fill", "a green square", "9")
    document.setSelection(None)
    hands.choose("kind", "Live")
    before = hands.results
    hands.click("go")
    yield lambda: hands.results > before
    hands.click("go")
    hands.choose("kind", "Generate")
    hands.at("count").setValue(8)
    before = hands.results
    hands.heard.clear()
    hands.click("go")
    yield lambda: any(it.startswith("Rendering") for it in hands.heard[1:])
    hands.look("rendering")
    hands.click("cancel")
    yield lambda: hands.at("cancel") is None
    report["after cancel"] = hands.results - before
    hands.at("count").setValue(1)
    for model, depth in (("CMYKA", "U16"), ("RGBA", "F32"), ("GRAYA", "U8")):
        other = new_document(model, depth)
        yield from painted(hands, other, report, model + depth, "a red square")
        report["jobs"][model + depth]["model"] = other.topLevelNodes()[-1].colorModel()
        seen = other.projection(0, 0, SIDE, SIDE)
        report["jobs"][model + depth]["colours"] = len({seen.pixel(x, x) for x in range(0, SIDE, 8)})


def closes_amid(hands, report):
    """Krita is closed while a picture is rendered."""
    new_document()
    yield from ready(hands)
    hands.at("prompt").setPlainText("a long picture")
    hands.at("count").setValue(8)
    hands.click("go")
    yield lambda: any(it.startswith("Rendering") for it in hands.heard)


def comes_back(hands, report):
    """What was rendered meanwhile is there; then socket and API fail amid the next picture."""
    document = new_document()
    yield from ready(hands)
    yield lambda: hands.results == 8
    report["offered"] = hands.at("results").item(0).toolTip()
    hands.at("prompt").setPlainText("a stormy picture")
    hands.click("go")
    yield lambda: any(it.startswith("Rendering") for it in hands.heard)
    (OUT / "break").touch()
    yield lambda: (OUT / "broken").exists()
    sys.modules["atelier.app"].atelier()._socket._socket.abort()
    yield lambda: hands.results == 9
    hands.click("apply")
    report["layers"] = layers(document)


def signs_in(hands, report):
    """By the browser, as a person does who has no token."""
    yield lambda: hands.at("sign_in").isVisible()
    report["before"] = hands.at("status").text()
    hands.click("sign_in")
    yield lambda: hands.at("status").text().startswith("Connected as")
    report["after"] = hands.at("status").text()


def play(scene):
    report = {"jobs": {}, "krita": Krita.instance().version()}
    steps, waits = None, {"for": None, "since": 0}
    timer = QTimer(Krita.instance())

    def end():
        timer.stop()
        (OUT / "report.json").write_text(json.dumps(report, indent=1))
        for document in Krita.instance().documents():
            document.setModified(False)
            document.close()
        Krita.instance().action("file_quit").trigger()

    def step():
        nonlocal steps
        try:
            if steps is None:
                step.hands = Hands()
                steps = scene(step.hands, report)
            step.hands.listen()
            if waits["for"] is not None and not waits["for"]():
                waits["since"] += LOOK
                if waits["since"] > PATIENCE * 1000:
                    step.hands.look("stuck")
                    raise TimeoutError(f"waited too long; last heard: {step.hands.heard}")
                return
            waits.update({"for": next(steps), "since": 0})
        except StopIteration:
            end()
        except Exception:
            report["error"] = traceback.format_exc()
            end()

    timer.timeout.connect(step)
    timer.start(LOOK)
    step.timer = timer
    return step


class Drive(Extension):
    def setup(self):
        pass

    def createActions(self, window):
        self.playing = None
        QTimer.singleShot(500, self.begin)

    def begin(self):
        if self.playing is None:
            self.playing = play(globals()[os.environ.get("ATELIER_SCENE", "everything")])


Krita.instance().addExtension(Drive(Krita.instance()))
