"""A painter in a real Krita, for the whole-stack tests: signs in, paints, applies what comes back, exports and quits.

It speaks the protocol of the AI Diffusion plugin over Qt's HTTP client, as that does, from Krita's own event loop, which
it never blocks. The environment says where the API is (INTERSTICE_URL, INTERSTICE_WEB_URL), where the captured requests
lie (ATELIER_WIRE), and where pictures and report go (ATELIER_PROBE).
"""

import json
import os
import traceback
import uuid
from pathlib import Path

from krita import Extension, InfoObject, Krita, Selection
from PyQt5.QtCore import QTimer, QUrl
from PyQt5.QtGui import QDesktopServices

from .http import call, send, sleep, start
from .pixels import add_layer, canvas, mask, new_document

OUT = Path(os.environ["ATELIER_PROBE"])
WIRE = Path(os.environ["ATELIER_WIRE"])
VERSION = "1.53.0"
# Of the canvas in the captured requests.
SIDE = 512
# Lies within the bounds that the captured request 03 tells.
SELECTION = (100, 100, 200, 200)


async def sign_in():
    """The device-code flow; somebody approves it in the browser. Gives the token."""
    client = {"client_id": str(uuid.uuid4())}
    info = f"Generative AI for Krita [Device: {os.uname().nodename}]"
    started = await call("auth/initiate", {**client, "client_info": info})
    QDesktopServices.openUrl(QUrl(os.environ["INTERSTICE_WEB_URL"] + started["url"]))
    while True:
        confirmed = await call("auth/confirm", client)
        if confirmed["status"] != "not-found":
            return confirmed["token"]
        await sleep(2)


async def upload(images, token):
    """Puts pictures into one blob where the API wants it; gives the request's `image_data`."""
    place = await call("upload/image", {}, token)
    await send("PUT", place["url"], b"".join(images), "application/octet-stream")
    offsets = [sum(map(len, images[:index])) for index in range(len(images))]
    return {"s3_object": place["object"], "offsets": offsets}


async def paint(report, document, name, images, token):
    """Sends a captured request with these pictures, and puts the first result on the canvas as a layer."""
    request = json.loads((WIRE / f"{name}.json").read_text())
    workflow = request["input"]["workflow"]
    if images:
        workflow["image_data"] = await upload(images, token)
        (OUT / f"{name}.jpg").write_bytes(images[0])
    job = status = await call("generate", request, token)
    said = [job["status"]]
    while said[-1] in ("IN_QUEUE", "IN_PROGRESS"):
        status = await call(f"status/{job['id']}", {}, token)
        said.append(status["status"])
        await sleep(0.5)
    if said[-1] != "COMPLETED":
        raise RuntimeError(f"{name}: {status}")
    found = status["output"]["images"]
    blob, _ = await send("GET", found["url"])
    ends = found["offsets"][1:] + [len(blob)]
    pictures = [blob[begin:end] for begin, end in zip(found["offsets"], ends)]
    (OUT / f"{name}.png").write_bytes(pictures[0])
    x, y = workflow.get("inpaint", {}).get("target_bounds", [0, 0])[:2]
    add_layer(document, name, pictures[0], x, y)
    report["jobs"].append({"pictures": len(pictures), "said": said, "at": [x, y]})


async def session(report):
    token = await sign_in()
    report["user"] = await call(f"user?plugin_version={VERSION}", token=token)
    report["latest"] = await call(f"plugin/latest?version={VERSION}")
    report["resources"] = await call("plugin/resources", token=token)
    document = new_document(SIDE)
    await paint(report, document, "01_generate", [], token)
    await paint(report, document, "02_refine", [canvas(document, SIDE)], token)
    selection = Selection()
    selection.select(*SELECTION, 255)
    document.setSelection(selection)
    await paint(report, document, "03_inpaint", [canvas(document, SIDE), mask(document, SIDE)], token)
    report["layers"] = [node.name() for node in document.topLevelNodes() if node.type() == "paintlayer"]
    exported = document.exportImage(str(OUT / "canvas.png"), InfoObject())
    if not (exported and document.saveAs(str(OUT / "canvas.kra"))):
        raise RuntimeError("the canvas was not saved")


async def paint_and_quit():
    report = {"krita": Krita.instance().version(), "jobs": []}
    try:
        await session(report)
    except Exception:
        report["error"] = traceback.format_exc()
    (OUT / "report.json").write_text(json.dumps(report))
    for document in Krita.instance().documents():
        document.setModified(False)  # or else Krita asks
        document.close()
    Krita.instance().action("file_quit").trigger()


class Probe(Extension):
    def setup(self):
        pass

    def createActions(self, window):
        QTimer.singleShot(0, lambda: start(paint_and_quit()))


Krita.instance().addExtension(Probe(Krita.instance()))
