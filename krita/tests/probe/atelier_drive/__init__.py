"""A painter's hands in a real Krita, for the whole-flow test: clicks through the docker and writes down what it shows.

ATELIER_DRIVE names the folder for the report, ATELIER_SCENE the function below that is played.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

from krita import Extension, Krita, Selection
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets
from PyQt5.QtCore import QByteArray, QTimer

OUT = Path(os.environ["ATELIER_DRIVE"])
PATIENCE = float(os.environ.get("ATELIER_PATIENCE", "45"))  # seconds for anything
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

    def grows(self):
        """Whether a picture is seen as far as it is."""
        it = self.at("growing", QtWidgets.QLabel)
        return it is not None and it.isVisible() and it.pixmap() is not None and not it.pixmap().isNull()

    def overlay(self):
        """Whether a picture is seen over the canvas."""
        return any(it.isVisible() for it in self.main.findChildren(QtWidgets.QWidget, "atelier_overlay"))

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
    hands.choose("level", "Expert")
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
    yield hands.grows
    report["grows"] = hands.at("growing").pixmap().width()
    yield hands.overlay
    report["layers while it grows"] = len(layers(document))
    hands.look("growing")
    hands.click("on_canvas")
    report["off the canvas"] = hands.overlay()
    hands.click("on_canvas")
    yield hands.overlay
    hands.click("cancel")
    yield lambda: hands.at("cancel") is None
    yield lambda: not hands.overlay()
    report["after cancel"] = hands.results - before
    hands.at("count").setValue(1)
    yield from remembers(hands, report)
    for model, depth in (("CMYKA", "U16"), ("RGBA", "F32"), ("GRAYA", "U8")):
        other = new_document(model, depth)
        yield from painted(hands, other, report, model + depth, "a red square")
        report["jobs"][model + depth]["model"] = other.topLevelNodes()[-1].colorModel()
        seen = other.projection(0, 0, SIDE, SIDE)
        report["jobs"][model + depth]["colours"] = len({seen.pixel(x, x) for x in range(0, SIDE, 8)})


def remembers(hands, report):
    """What was painted before: its settings and its pictures."""
    past = sys.modules["atelier.app"].atelier().session.history
    hands.at("tabs").setCurrentIndex(1)
    listed = hands.at("history")
    # The index of tasks may be behind what was painted a moment ago.
    yield lambda: not past.busy and (len([it for it in past.entries if it.state == "succeeded"]) >= 4 or past.look())
    for row in range(listed.count()):
        listed.setCurrentRow(row)
        yield lambda: not past.busy
        if listed.item(row).text().startswith("a green square\n"):
            break
    report["past"] = listed.item(row).text()
    report["reads small pictures"] = b"webp" in [bytes(it) for it in QtGui.QImageReader.supportedImageFormats()]
    icon = lambda: listed.item(row).icon().pixmap(8, 8).toImage()  # noqa: E731
    yield lambda: not report["reads small pictures"] or icon().pixelColor(4, 4).alpha() == 255
    hands.click("keep")
    yield lambda: not past.busy
    report["kept"] = hands.at("keep").text()
    hands.look("history")
    before = hands.results
    hands.click("bring")
    yield lambda: hands.results > before
    report["brought"] = hands.at("results").item(before).toolTip()
    hands.at("tabs").setCurrentIndex(1)
    hands.at("prompt").setPlainText("something else")
    yield lambda: not past.busy
    hands.click("use_again")
    yield lambda: hands.at("tabs").currentIndex() == 0
    report["again"] = [
        hands.at("kind").currentText(),
        hands.at("prompt").toPlainText(),
        hands.at("seed").text(),
        hands.at("checkpoint").currentText(),
    ]
    hands.choose("kind", "Generate")
    yield from varied(hands, report)


def varied(hands, report):
    """Variants of one request: two prompts with two seeds each, which come one by one."""
    app = sys.modules["atelier.app"].atelier()
    hands.at("prompt").setPlainText("a red square")
    hands.at("prompts").setPlainText("a blue circle")
    hands.at("seeds").setValue(2)
    before = len(app.results)
    hands.click("go")
    yield lambda: any("variants to come" in it for it in hands.heard)
    hands.look("variants")
    yield lambda: len(app.results) - before == 4
    report["varied"] = sorted(it.name for it in app.results[before:])
    hands.at("seeds").setValue(1)
    hands.at("prompts").setPlainText("")


def covered(document, name, rect):
    """A group with a layer that covers a piece of the canvas."""
    group = document.createNode(name, "grouplayer")
    layer = document.createNode(name + " layer", "paintlayer")
    document.rootNode().addChildNode(group, None)
    group.addChildNode(layer, None)
    layer.setPixelData(QByteArray(b"\x20\x40\x80\xff" * (rect[2] * rect[3])), *rect)
    document.refreshProjection()
    yield from settled(document)
    return group


def guided(hands, report):
    """Control layers, regions, LoRAs, a preview, an upload, an upscale, and a canvas that changes under the painter."""
    document = new_document()
    yield from ready(hands)
    hands.choose("kind", "Generate")
    app = sys.modules["atelier.app"].atelier()
    link = app.session.link
    yield lambda: link.is_open and app._layers is not None  # what is there is seen, so that a change is one
    group = yield from covered(document, "sky", (0, 0, SIDE, 200))
    document.setActiveNode(group)
    yield lambda: link._active is not None  # layers are worked on: the painter is there
    for rows in ("add_controls", "add_loras", "add_regions"):
        hands.click(rows)
    hands.choose("mode", "Scribble")
    yield lambda: hands.at("detect").isVisible()
    hands.click("detect")
    yield lambda: any(it["name"] == "Scribble" for it in layers(document))
    report["detected"] = [[it.name(), it.visible()] for it in document.topLevelNodes()][-1]
    hands.at("layer").renew()
    hands.choose("layer", "Scribble")
    hands.choose("layer", "sky layer")
    hands.choose("lora", "Hyper-SD15-8steps-CFG-lora")
    hands.choose("group", "sky")
    hands.at("region_prompt").setText("a blue sky")
    hands.at("raw").setPlainText('{"sampling": {"cfg_scale": 5.0}}')
    sent = sys.modules["atelier.app"].atelier().session.desk.jobs
    yield from painted(hands, document, report, "guided", "a red square")
    job = list(sent.values())[-1]
    report["workflow"] = job.workflow
    report["offsets"] = job.offsets
    hands.at("raw").setPlainText("{")
    hands.click("go")
    report["bad json"] = hands.at("cost").text()
    hands.at("raw").setPlainText("")
    hands.at("preview").setChecked(True)
    yield hands.overlay
    report["layers below"] = [it["name"] for it in layers(document)]
    hands.look("preview")
    hands.at("preview").setChecked(False)
    report["no preview"] = hands.overlay()
    yield from placed(hands, report)
    group.remove()
    document.waitForDone()
    hands.click("go")
    report["layer gone"] = hands.at("cost").text()
    hands.click("remove")
    for rows in ("controls", "regions"):
        for away in hands.at(rows).findChildren(QtWidgets.QToolButton, "remove"):
            away.click()
    lora = OUT / "mine.safetensors"
    head = json.dumps({"__metadata__": {"ss_base_model_version": "sd_1.5"}}).encode()
    lora.write_bytes(len(head).to_bytes(8, "little") + head)
    sys.modules["atelier.app"].atelier().upload_lora(str(lora))
    yield lambda: sys.modules["atelier.app"].atelier().session.loras.own
    report["own"] = [name for name, _ in sys.modules["atelier.app"].atelier().session.loras.own]
    document.setSelection(Selection())
    hands.choose("kind", "Fill")
    hands.click("go")
    report["empty selection"] = hands.at("cost").text()
    document.setSelection(None)
    hands.choose("kind", "Generate")
    before = hands.results
    hands.at("prompt").setPlainText("a late picture")
    hands.click("go")
    yield lambda: hands.results > before
    other = new_document()
    group = yield from covered(other, "locked", (10, 10, 50, 50))
    yield lambda: other.activeNode() is not None
    other.setActiveNode(group)
    yield lambda: other.activeNode().name() == "locked"
    Krita.instance().action("add_new_transparency_mask").trigger()
    yield lambda: other.activeNode().type() == "transparencymask"
    group.setLocked(True)
    yield from painted(hands, other, report, "locked", "a red square")
    hands.choose("kind", "Upscale")
    hands.choose("factor", "1.5 ×")
    for strength in (0, 30):
        hands.at("strength").setValue(strength)
        yield from painted(hands, other, report, f"upscale {strength}", "a red square")
        report[f"size {strength}"] = [other.width(), other.height()]
    hands.choose("kind", "Generate")
    before = hands.results
    hands.click("go")
    yield from closed(other)
    yield lambda: hands.results > before
    hands.click("apply")
    report["closed"] = hands.at("cost").text()
    yield from settled(document)
    document.setSelection(selected())
    hands.choose("kind", "Refine")
    before = hands.results
    hands.click("go")
    yield lambda: hands.results > before
    document.setSelection(None)
    # While no other canvas is open: Krita may draw with the other's OpenGL what was resized, also when that is gone.
    document.resizeImage(0, 0, 40, 50)
    yield from settled(document)
    hands.click("apply")
    document.waitForDone()
    report["resized"] = layers(document)[-1]["bounds"]


def recorded(hands, report):
    """The making of one document is recorded while its switch is on, also after it was closed; a reference picture, and what is see-through."""
    app = sys.modules["atelier.app"].atelier()
    records, name_of = app.session.records, sys.modules["atelier.canvas"].record_name
    document = new_document()
    yield from ready(hands)
    hands.choose("kind", "Generate")
    yield lambda: records.known and hands.at("record").isVisible()
    report["at first"] = hands.at("record").isChecked()
    hands.click("record")
    yield lambda: not records.busy and app.is_recorded()
    hands.look("recorded")
    yield from painted(hands, document, report, "recorded", "a recorded square", "21")
    yield from painted(hands, document, report, "also recorded", "a second square", "22")
    report["document"] = name_of(document)
    kept = OUT / "kept.kra"
    document.saveAs(str(kept))
    document.waitForDone()
    other = new_document()
    yield lambda: Krita.instance().activeDocument() == other and not hands.at("record").isChecked()
    yield from painted(hands, other, report, "not recorded", "somebody else's square", "23")
    report["other document"] = name_of(other)
    again = Krita.instance().openDocument(str(kept))
    again.setBatchmode(True)
    Krita.instance().activeWindow().addView(again)
    yield lambda: Krita.instance().activeDocument() == again and hands.at("record").isChecked()
    report["document again"] = name_of(again)
    hands.click("record")
    yield lambda: not records.busy and not app.is_recorded()
    yield from painted(hands, again, report, "no more", "a square that nobody sees", "24")
    yield from references(hands, report)
    yield from see_through(hands, report)


def references(hands, report):
    """A layer that the model only looks at."""
    document = new_document()
    group = yield from covered(document, "looked at", (30, 40, 200, 100))
    yield lambda: Krita.instance().activeDocument() == document
    hands.click("add_controls")
    hands.choose("mode", "Reference picture")
    hands.at("layer").renew()
    hands.choose("layer", "looked at layer")
    yield from painted(hands, document, report, "reference", "a red square", "25")
    job = list(sys.modules["atelier.app"].atelier().session.desk.jobs.values())[-1]
    report["reference"] = [job.workflow["conditioning"]["control"], len(job.offsets), group.name()]
    hands.at("controls").findChild(QtWidgets.QToolButton, "remove").click()


def see_through(hands, report):
    """What is sent of a half transparent layer below a mask, 16 bits deep: all of its pixels on white, and no more than those."""
    document = new_document("RGBA", "U16")
    below = document.topLevelNodes()[0]
    half = b"\x00\x00\x00\x00\xff\xff\x00\x80" * (100 * SIDE)  # red, in 16 bits each: blue, green, red, alpha
    below.setPixelData(QByteArray(half), 0, 0, 100, SIDE)
    document.refreshProjection()
    document.waitForDone()
    document.setActiveNode(below)
    Krita.instance().action("add_new_transparency_mask").trigger()
    yield lambda: document.activeNode().type() == "transparencymask"
    canvas = sys.modules["atelier.canvas"]
    sent = QtGui.QImage.fromData(canvas.picture(document, canvas.bounds(document), (SIDE, SIDE)))
    report["see-through"] = [QtGui.QColor(sent.pixel(x, 256)).getRgb()[:3] for x in (50, 300)]
    hands.choose("kind", "Refine")
    yield from painted(hands, document, report, "see-through", "a red square", "26")
    hands.choose("kind", "Generate")


def placed(hands, report):
    """What is shown over a canvas lies where its layer would, however the painter looks at it: the share that does not."""
    canvas, place = sys.modules["atelier.canvas"], sys.modules["atelier.core.jobs"].Place
    document = new_document()
    yield lambda: Krita.instance().activeDocument() == document
    x, y, width, height = SELECTION
    document.topLevelNodes()[0].setPixelData(QByteArray(b"\xff\x00\x00\xff" * (width * height)), *SELECTION)
    document.refreshProjection()
    document.waitForDone()
    picture = QtGui.QImage(width, height, QtGui.QImage.Format_RGB32)
    picture.fill(QtGui.QColor(0, 255, 0))
    overlay = sys.modules["atelier.overlay"].Overlay()
    view, area = sys.modules["atelier.overlay"]._looked_at()
    seen, across, down = view.canvas(), area.horizontalScrollBar(), area.verticalScrollBar()

    def pan():
        across.setValue(across.value() + 37)
        down.setValue(down.value() - 21)

    report["misplaced"] = {}
    ways = (
        ("zoom", lambda: seen.setZoomLevel(3.0)),
        ("pan", pan),
        ("small", lambda: seen.setZoomLevel(1.0)),
        ("turn", lambda: seen.setRotation(30)),
        ("mirror", lambda: seen.setMirror(True)),
        ("mirror alone", seen.resetRotation),
    )
    for name, look in ways:
        look()
        yield later(10)
        below = hands.main.grab().toImage()
        overlay.show(picture, place(canvas.document_id(document), *SELECTION))
        yield later(10)
        above = hands.main.grab().toImage()
        overlay.hide()
        port, at = area.viewport(), area.viewport().mapTo(hands.main, QtCore.QPoint(0, 0))
        spots = [(at.x() + i, at.y() + j) for i in range(0, port.width(), 3) for j in range(0, port.height(), 3)]
        blue = {it for it in spots if QtGui.QColor(below.pixel(*it)).getRgb()[:3] == (0, 0, 255)}
        green = {it for it in spots if QtGui.QColor(above.pixel(*it)).getRgb()[:3] == (0, 255, 0)}
        report["misplaced"][name] = len(blue ^ green) / max(1, len(blue))
        report["misplaced"][name] += not blue
    yield from closed(document)


def enlarged(hands, report):
    """Pictures that enlarge a document which the painter does not look at, while others open and close."""
    yield from ready(hands)
    app, place = sys.modules["atelier.app"].atelier(), sys.modules["atelier.core.jobs"].Place
    picture = QtGui.QImage(768, 640, QtGui.QImage.Format_RGB32)
    picture.fill(QtGui.QColor(0, 0, 255))
    report["enlarged"] = []

    def result(document):
        where = place(sys.modules["atelier.canvas"].document_id(document), 0, 0, 768, 640, enlarges=True)
        job = sys.modules["atelier.core.jobs"].Job("enlarges", "enlarged", 7, where, {})
        return sys.modules["atelier.results"].Result(job, 0, picture)

    for moment in ("it lies below", "another was just opened", "it is in front"):
        document = new_document()
        yield from settled(document)
        others = [new_document()] if moment != "it is in front" else []
        if moment == "it lies below":
            yield from settled(others[0])
        app.apply(result(document))
        in_front = Krita.instance().activeDocument() == document
        for other in others:
            yield from closed(other)
        drawn = document.topLevelNodes()[-1]
        drawn.setPixelData(QByteArray(b"\x00\x00\xff\xff" * 10000), 600, 500, 100, 100)
        document.refreshProjection()
        yield from settled(document)
        size = [document.width(), document.height()]
        report["enlarged"].append([moment, in_front, size, layers(document)[-1]["bounds"]])
        yield from all_closed()
    document = new_document()
    late = result(document)
    yield from closed(document)
    other = new_document()
    yield from settled(other)
    report["closed"] = [app.apply(late), other.width(), other.height(), len(layers(other))]


def later(turns):
    """A few turns of Krita's event loop."""
    left = iter(range(turns))
    return lambda: next(left, None) is None


def settled(document):
    """Until Krita is done with a document, and its window knows."""
    document.waitForDone()
    yield later(10)


def closed(document):
    """Closes a document as a painter does, whose hand is slower than Krita, which may crash where that is done amid its work."""
    yield from settled(document)
    document.setModified(False)
    document.close()
    yield later(10)


def all_closed():
    """Closes all documents."""
    for document in Krita.instance().documents():
        yield from closed(document)


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


def loses_worker(hands, report):
    """The worker's process is killed amid a picture."""
    document = new_document()
    yield from ready(hands)
    hands.choose("kind", "Generate")
    hands.at("prompt").setPlainText("an interrupted picture")
    hands.heard.clear()
    hands.click("go")
    yield lambda: any(it.startswith("Rendering") and it != "Rendering 0 %" for it in hands.heard)
    (OUT / "kill").touch()
    yield lambda: (OUT / "killed").exists()
    report["before"] = len(hands.heard)
    yield lambda: any("interrupted" in it for it in hands.heard)
    hands.look("interrupted")
    yield lambda: hands.results == 1
    report["heard"] = hands.heard
    hands.click("apply")
    document.waitForDone()
    report["layers"] = layers(document)


def warm(hands, report):
    """Warm pictures, each from the click to the layer, in milliseconds; by polling if ATELIER_POLLS is set."""
    document = new_document()
    yield from ready(hands)
    app = sys.modules["atelier.app"].atelier()
    if os.environ.get("ATELIER_POLLS"):
        app._socket.open = lambda _url, _token: QTimer.singleShot(0, app._socket._closed)
        app._socket.close()
        app._socket._closed()
        yield lambda: app.session.link.is_blocked
    else:
        yield lambda: app.session.link.is_open
    hands.choose("kind", "Generate")
    hands.at("prompt").setPlainText("a warm picture")
    report["took"] = []
    began = None

    def arrived():
        nonlocal began
        if began is not None and hands.results > before:
            since, began = began, None
            hands.click("apply")
            document.waitForDone()
            report["took"].append((time.monotonic() - since) * 1000)

    app.changed.connect(arrived)
    turn = OUT / "turn"
    for number in range(int(os.environ["ATELIER_PICTURES"])):
        hands.at("seed").setText(os.environ["ATELIER_SEED"] + f"{number:03}")
        before, began = hands.results, time.monotonic()
        hands.click("go")
        workflow = list(app.session.desk.jobs.values())[-1].workflow
        yield lambda: len(report["took"]) > number
        assert len(layers(document)) == 2, layers(document)
        document.topLevelNodes()[-1].remove()
        document.waitForDone()
        (OUT / "workflow").write_text(json.dumps(workflow))
        (OUT / "workflow").rename(turn)
        yield lambda: not turn.exists()
    app.changed.disconnect(arrived)


def parts(hands, report):
    """Warm pictures, with the moments at which each part of the extension begins."""
    document = new_document()
    yield from ready(hands)
    app = sys.modules["atelier.app"].atelier()
    yield lambda: app.session.link.is_open
    hands.choose("kind", "Generate")
    hands.at("prompt").setPlainText("a warm picture")
    report["heard"] = heard = []
    send, take, waits = app._http.send, app._take, []

    def note(what):
        heard.append((what, time.monotonic()))

    def sent(call):
        ours = call.url.endswith("/generate")
        note("call") if ours else None
        send(call)
        note("called") if ours else None

    def taken(delivery):
        note("came")
        take(delivery)
        note("decoded")

    def arrived():
        if waits and hands.results > waits[0]:
            waits.clear()
            note("shown")
            hands.click("apply")
            document.waitForDone()
            note("layer")

    app._http.send, app._take = sent, taken
    app.changed.connect(arrived)
    for number in range(int(os.environ["ATELIER_PICTURES"])):
        hands.at("seed").setText(str(number))
        yield later(30)
        waits.append(hands.results)
        note("click")
        hands.click("go")
        yield lambda: not waits
        document.topLevelNodes()[-1].remove()
        document.waitForDone()
    app.changed.disconnect(arrived)
    app._http.send, app._take = send, take


def session(hands, report):
    """A painter's few minutes: strokes in bursts, pauses between them, a key, a layer; and what is said of it when."""
    document = new_document()
    yield from ready(hands)
    app = sys.modules["atelier.app"].atelier()
    yield lambda: app.session.link.is_open and app._layers is not None
    hands.docker.setFloating(False)
    canvas = next(
        it for it in hands.main.findChildren(QtWidgets.QWidget) if it.metaObject().className().endswith("Canvas2")
    )
    lines, began, send = [], time.monotonic(), app._socket.send

    def note(what):
        lines.append([round((time.monotonic() - began) * 1000), what])

    def said(text):
        if json.loads(text)["action"] == "active":
            note("active")
        send(text)

    def stroke():
        note("painted")
        at, none = QtCore.QPoint(60, 60), QtCore.Qt.KeyboardModifier.NoModifier
        QtTest.QTest.mousePress(canvas, QtCore.Qt.MouseButton.LeftButton, none, at)
        QtTest.QTest.mouseRelease(canvas, QtCore.Qt.MouseButton.LeftButton, none, at + QtCore.QPoint(30, 10))

    def layer():
        note("painted")
        document.rootNode().addChildNode(document.createNode("more", "paintlayer"), None)

    app._socket.send = said
    # Seconds until each, and what: a burst, a pause, a second burst past the minute, and ever longer pauses.
    acts = [(2.3, stroke)] * 35 + [(25, stroke), (55, stroke), (3, stroke), (59, stroke)] + [(4, stroke)] * 12 + [(75, layer)]
    due = time.monotonic()
    for pause, act in acts:
        due += pause
        yield past(due)
        act()
    yield past(due + 5)
    app._socket.send = send
    report["session"] = lines


def past(due):
    """A time that has come."""
    return lambda: time.monotonic() >= due


def signs_in(hands, report):
    """By the browser, as a person does who has no token."""
    yield lambda: hands.at("sign_in").isVisible()
    report["before"] = hands.at("status").text()
    hands.click("sign_in")
    yield lambda: hands.at("status").text().startswith("Connected as")
    report["after"] = hands.at("status").text()
    report["can sign out"] = hands.at("sign_out").isVisible()


def line_of(steps):
    """Where a scene has come to."""
    return line_of(steps.gi_yieldfrom) if steps.gi_yieldfrom is not None else steps.gi_frame.f_lineno


def play(scene):
    report = {"jobs": {}, "krita": Krita.instance().version()}
    steps, waits = None, {"for": None, "since": 0}
    timer = QTimer(Krita.instance())

    def leave():
        """From the scene to the end, and from there out of Krita."""
        nonlocal steps
        if (OUT / "report.json").exists():
            timer.stop()
            Krita.instance().action("file_quit").trigger()
        else:
            (OUT / "report.json").write_text(json.dumps(report, indent=1))
            steps = all_closed()
            waits.update({"for": None})

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
            print("line", line_of(steps), file=sys.stderr, flush=True)
        except StopIteration:
            leave()
        except Exception:
            report["error"] = traceback.format_exc()
            leave()

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
