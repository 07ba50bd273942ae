"""Between Krita's pixels and picture files."""

from krita import Krita
from PyQt5.QtCore import QBuffer, QIODevice
from PyQt5.QtGui import QImage


def _jpeg(pixels, side, image_format):
    image = QImage(bytes(pixels), side, side, len(pixels) // side, image_format)
    buffer = QBuffer()
    buffer.open(QIODevice.WriteOnly)
    # As the plugin does where Krita's Qt has no WebP, which is so on Debian.
    image.save(buffer, "JPEG", 85)
    return bytes(buffer.data())


def canvas(document, side):
    """What is seen, as a file."""
    return _jpeg(document.pixelData(0, 0, side, side), side, QImage.Format_RGB32)


def mask(document, side):
    """The selection as a gray file: white is selected."""
    return _jpeg(document.selection().pixelData(0, 0, side, side), side, QImage.Format_Grayscale8)


def add_layer(document, name, picture, x, y):
    """Puts a picture file on top of all layers."""
    image = QImage.fromData(picture).convertToFormat(QImage.Format_ARGB32)
    if image.isNull():
        raise RuntimeError(f"{name}: the result is no picture")
    layer = document.createNode(name, "paintlayer")
    document.rootNode().addChildNode(layer, None)
    pixels = image.constBits().asstring(image.sizeInBytes())
    layer.setPixelData(pixels, x, y, image.width(), image.height())
    document.refreshProjection()
    document.waitForDone()


def new_document(side):
    """A white canvas with a red square, in a window of its own."""
    krita = Krita.instance()
    document = krita.createDocument(side, side, "probe", "RGBA", "U8", "", 300.0)
    document.setBatchmode(True)
    krita.activeWindow().addView(document)
    white, red = b"\xff\xff\xff\xff", b"\x28\x28\xdc\xff"
    background = document.topLevelNodes()[0]
    background.setPixelData(white * side * side, 0, 0, side, side)
    background.setPixelData(red * 128 * 128, 192, 192, 128, 128)
    document.refreshProjection()
    document.waitForDone()
    return document
