"""Between Krita's canvas and picture files."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from krita import Krita

from .core.jobs import Place
from .core.sizes import Rect, Size
from .qt import QtCore, QtGui

PROFILE = "sRGB-elle-V2-srgbtrc.icc"
_Format = QtGui.QImage.Format
_Mode = QtGui.QPainter.CompositionMode
_RECORD, _NAME = "atelier/document", re.compile(r"[A-Za-z0-9.:@=_-]{1,128}")
_NO_LAYERS = ("transparencymask", "filtermask", "transformmask", "selectionmask", "colorizemask")
_ON_BLACK = ("depth", "normal", "pose", "segmentation")


def document_id(document: Any) -> str:
    """Names an open document."""
    return document.rootNode().uniqueId().toString()


def document_by(name: str) -> Tuple[Optional[Any], bool]:
    """The open document of that name and true, or else the one the painter looks at."""
    for document in Krita.instance().documents():
        if document_id(document) == name:
            return document, True
    return Krita.instance().activeDocument(), False


def record_name(document: Any, make: bool = False) -> str:
    """What the document is called for the record of how it was made, which is stored in it; empty if it has no such name."""
    name = bytes(document.annotation(_RECORD)).decode("ascii", "replace")
    if not _NAME.fullmatch(name):
        name = uuid.uuid4().hex if make else ""
        if name:
            document.setAnnotation(_RECORD, "Atelier", QtCore.QByteArray(name.encode()))
    return name


def title(document: Any) -> str:
    """What its painter calls it."""
    return os.path.basename(document.fileName()) or document.name()


def bounds(document: Any) -> Rect:
    """All of the canvas."""
    return Rect(0, 0, document.width(), document.height())


def selection(document: Any) -> Optional[Rect]:
    """What is selected of the canvas; none if that is no pixel."""
    selected = document.selection()
    if selected is None:
        return None
    rect = Rect(selected.x(), selected.y(), selected.width(), selected.height()).grown(0, bounds(document))
    if rect.width <= 0 or rect.height <= 0 or not any(bytes(selected.pixelData(rect.x, rect.y, *rect.size))):
        return None
    return rect


def picture(document: Any, rect: Rect, size: Size) -> bytes:
    """What is seen there as a file, whatever the document's colours are; on white where nothing is."""
    return _colours(document.projection(rect.x, rect.y, *rect.size), size, QtCore.Qt.GlobalColor.white)


def layers(document: Any) -> Iterator[Any]:
    """The layers of a document without their masks, from the lowest to the uppermost."""
    return (it for it in _below(document.rootNode()) if it.type() not in _NO_LAYERS)


def _below(node: Any) -> Iterator[Any]:
    for child in node.childNodes():
        yield from _below(child)
        yield child


def layer_id(node: Any) -> str:
    """Names a layer."""
    return node.uniqueId().toString()


def layer_by(document: Any, name: str) -> Optional[Any]:
    """The layer of that name, if it is still there."""
    return next((it for it in layers(document) if layer_id(it) == name), None)


def extent_of(document: Any, node: Any) -> Rect:
    """What a layer covers of the canvas."""
    return Rect(*node.bounds().getRect()).grown(0, bounds(document))


def layer_picture(document: Any, node: Any, rect: Rect, size: Size, mode: str) -> bytes:
    """A layer alone as a file: on black where that means nothing, else on white."""
    ground = QtCore.Qt.GlobalColor.black if mode in _ON_BLACK else QtCore.Qt.GlobalColor.white
    return _colours(_pixels(document, node, rect), size, ground)


def region_masks(document: Any, nodes: Sequence[Any], rect: Rect) -> List[bytes]:
    """Gray files of what each layer covers there, the upper ones first served; before them one of what none does."""
    taken = QtGui.QImage(*rect.size, _Format.Format_ARGB32)
    taken.fill(QtCore.Qt.GlobalColor.transparent)
    masks: List[bytes] = []
    for node in reversed(nodes):
        own = _pixels(document, node, rect)
        _paint(own, taken, _Mode.CompositionMode_DestinationOut)
        masks.insert(0, _coverage(own))
        _paint(taken, own, _Mode.CompositionMode_Plus)
    rest = QtGui.QImage(*rect.size, _Format.Format_ARGB32)
    rest.fill(QtCore.Qt.GlobalColor.white)
    _paint(rest, taken, _Mode.CompositionMode_DestinationOut)
    return [_coverage(rest)] + masks


def _coverage(image: "QtGui.QImage") -> bytes:
    gray = QtGui.QImage(image.size(), _Format.Format_RGB32)
    gray.fill(QtCore.Qt.GlobalColor.black)
    white = QtGui.QImage(image.size(), _Format.Format_ARGB32)
    white.fill(QtCore.Qt.GlobalColor.white)
    _paint(white, image, _Mode.CompositionMode_DestinationIn)
    _paint(gray, white, _Mode.CompositionMode_SourceOver)
    return _file(gray.convertToFormat(_Format.Format_Grayscale8), "PNG", -1)


def _paint(onto: "QtGui.QImage", what: "QtGui.QImage", mode: Any) -> None:
    painter = QtGui.QPainter(onto)
    painter.setCompositionMode(mode)
    painter.drawImage(0, 0, what)
    painter.end()


def _pixels(document: Any, node: Any, rect: Rect) -> "QtGui.QImage":
    """What a layer shows by itself, whatever its colours are."""
    copy = document.createNode("", "paintlayer")  # which never joins the document
    copy.setColorSpace(node.colorModel(), node.colorDepth(), node.colorProfile())
    copy.setPixelData(node.projectionPixelData(rect.x, rect.y, *rect.size), rect.x, rect.y, *rect.size)
    copy.setColorSpace("RGBA", "U8", PROFILE)
    data = bytes(copy.pixelData(rect.x, rect.y, *rect.size))
    return QtGui.QImage(data, *rect.size, 4 * rect.width, _Format.Format_ARGB32).copy()


def _colours(seen: "QtGui.QImage", size: Size, ground: Any) -> bytes:
    flat = QtGui.QImage(seen.size(), _Format.Format_RGB32)
    flat.fill(ground)
    _paint(flat, seen, _Mode.CompositionMode_SourceOver)
    if size != (flat.width(), flat.height()):
        flat = flat.scaled(
            size[0],
            size[1],
            QtCore.Qt.AspectRatioMode.IgnoreAspectRatio,
            QtCore.Qt.TransformationMode.SmoothTransformation,
        )
    webp = b"webp" in [bytes(it) for it in QtGui.QImageWriter.supportedImageFormats()]
    return _file(flat, "WEBP" if webp else "JPEG", 88)


def mask(document: Any, rect: Rect) -> bytes:
    """The selection there as a gray file: white is selected."""
    pixels = bytes(document.selection().pixelData(rect.x, rect.y, *rect.size))
    return _file(QtGui.QImage(pixels, *rect.size, rect.width, _Format.Format_Grayscale8), "PNG", -1)


def _file(image: "QtGui.QImage", kind: str, quality: int) -> bytes:
    buffer = QtCore.QBuffer()
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, kind, quality)
    return bytes(buffer.data())


def decode(file: bytes) -> Optional["QtGui.QImage"]:
    """A picture file; none if it is no picture."""
    image = QtGui.QImage.fromData(file)
    return None if image.isNull() else image


def put(document: Any, name: str, image: "QtGui.QImage", place: Place) -> None:
    """Puts a picture where it belongs, and so that it can be seen should the canvas be another one by now."""
    if place.enlarges and (document.width(), document.height()) != (image.width(), image.height()):
        bring_to_front(document)
        resolution = round(document.resolution())
        document.scaleImage(image.width(), image.height(), resolution, resolution, "Bicubic")
        document.waitForDone()
    area = Rect(place.x, place.y, image.width(), image.height())
    seen = area.grown(0, bounds(document))
    outside = seen.width <= 0 or seen.height <= 0
    add_layer(document, name, image, (0, 0) if outside else (place.x, place.y))


def bring_to_front(document: Any) -> None:
    """Shows a document's canvas, if it has one, and draws its window.

    Krita draws a canvas whose size was changed by the OpenGL that drew last. Where that is another canvas's, which is
    closed later, Krita crashes.
    """
    for window in Krita.instance().windows():
        views = [it for it in (window.activeView(), *window.views()) if it is not None and it.document() == document]
        if views:
            views[0].setVisible()
            window.qwindow().repaint()
            return


def add_layer(document: Any, name: str, image: "QtGui.QImage", at: Tuple[int, int], visible: bool = True) -> Any:
    """Puts a picture on top of all layers as one step that can be undone."""
    layer = document.createNode(name, "paintlayer")
    layer.setVisible(visible)
    own = (layer.colorModel(), layer.colorDepth(), layer.colorProfile())
    plain = own[:2] == ("RGBA", "U8")
    if not plain:
        layer.setColorSpace("RGBA", "U8", PROFILE)
    pixels = image.convertToFormat(_Format.Format_ARGB32)
    data = pixels.constBits().asstring(pixels.sizeInBytes())
    layer.setPixelData(QtCore.QByteArray(data), at[0], at[1], pixels.width(), pixels.height())
    if not plain:
        layer.setColorSpace(*own)
    document.rootNode().addChildNode(layer, None)
    return layer
