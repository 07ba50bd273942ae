"""Between Krita's canvas and picture files."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from krita import Krita

from .core.sizes import Rect, Size
from .qt import QtCore, QtGui

PROFILE = "sRGB-elle-V2-srgbtrc.icc"
_Format = QtGui.QImage.Format


def document_id(document: Any) -> str:
    """Names an open document."""
    return document.rootNode().uniqueId().toString()


def document_by(name: str) -> Optional[Any]:
    """The open document of that name, or else the one the painter looks at."""
    for document in Krita.instance().documents():
        if document_id(document) == name:
            return document
    return Krita.instance().activeDocument()


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
    seen = document.projection(rect.x, rect.y, *rect.size)
    flat = QtGui.QImage(seen.size(), _Format.Format_RGB32)
    flat.fill(QtCore.Qt.GlobalColor.white)
    painter = QtGui.QPainter(flat)
    painter.drawImage(0, 0, seen)
    painter.end()
    if size != rect.size:
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


def add_layer(document: Any, name: str, image: "QtGui.QImage", at: Tuple[int, int]) -> None:
    """Puts a picture on top of all layers as one step that can be undone."""
    layer = document.createNode(name, "paintlayer")
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
    document.refreshProjection()
