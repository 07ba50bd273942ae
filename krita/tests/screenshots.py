#!/usr/bin/env python3
"""Makes the pictures of the docker that the README shows: `krita/tests/screenshots.py [FOLDER]`, which is `docs` if left out.

By the system's Python, whose PyQt5 draws them without a Krita. Chinese needs a font that has it, such as Debian's `fonts-wqy-zenhei`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PyQt5 import QtGui

HERE = Path(__file__).resolve().parent
PICTURES = {
    "krita-levels": (["en"], ["simple", "standard", "expert"]),
    "krita-states": (["en"], ["waking", "queued", "growing", "failed"]),
    "krita-history": (["en"], ["history", "variants"]),
    "krita-chinese": (["zh_CN", "1", "dark"], ["simple", "standard", "history"]),
}
BETWEEN = 12
"""Pixels."""


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "docs"
    opened = {}
    for name, (options, parts) in PICTURES.items():
        if tuple(options) not in opened:
            opened[tuple(options)] = tempfile.TemporaryDirectory()
            command = [sys.executable, HERE / "opened.py", opened[tuple(options)].name, *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        images = [QtGui.QImage(f"{opened[tuple(options)].name}/{it}.png") for it in parts]
        width = sum(it.width() for it in images) + BETWEEN * (len(images) - 1)
        whole = QtGui.QImage(width, max(it.height() for it in images), QtGui.QImage.Format_RGB32)
        whole.fill(QtGui.QColor("white"))
        painter, at = QtGui.QPainter(whole), 0
        for it in images:
            painter.drawImage(at, 0, it)
            at += it.width() + BETWEEN
        painter.end()
        if not whole.save(str(folder / f"{name}.png")):
            sys.exit(f"{name} could not be written")


if __name__ == "__main__":
    main()
