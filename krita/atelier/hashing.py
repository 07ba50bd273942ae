"""Reads a large file without stopping Krita."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Callable, Optional

from .core.loras import Upload
from .qt import QtCore

PIECE = 4 * 1024 * 1024
"""Bytes that are read at once."""


class Hashing(QtCore.QObject):
    """A file's hash, a piece in each turn of the event loop."""

    def __init__(self, path: str, done: Callable[[Optional[Upload]], None]) -> None:
        super().__init__()
        self._path, self._done = path, done
        self._hash = hashlib.sha256()
        self._size = 0
        self._file = open(path, "rb")  # noqa: SIM115, closed at its end
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._read)
        self._timer.start(0)

    def _read(self) -> None:
        try:
            piece = self._file.read(PIECE)
        except OSError:
            return self._end(None)
        self._hash.update(piece)
        self._size += len(piece)
        if not piece:
            digest = base64.b64encode(self._hash.digest()).decode()
            self._end(Upload(os.path.basename(self._path), self._path, digest, self._size))

    def _end(self, upload: Optional[Upload]) -> None:
        self._timer.stop()
        self._file.close()
        self._done(upload)
