"""Reads a large file without stopping Krita."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any, Callable, Optional

from .core.loras import Upload
from .qt import QtCore

PIECE = 4 * 1024 * 1024
"""Bytes that are read at once."""


class Hashing(QtCore.QObject):
    """A file's hash, a piece in each turn of the event loop; an empty one if it cannot be read."""

    def __init__(self, path: str, done: Callable[[Upload], None]) -> None:
        super().__init__()
        self._path, self._done = path, done
        self._hash = hashlib.sha256()
        self._size = 0
        self._file: Optional[Any] = None
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._read)
        self._timer.start(0)

    def _read(self) -> None:
        try:
            self._file = self._file or open(self._path, "rb")  # noqa: SIM115, closed at its end
            piece = self._file.read(PIECE)
        except OSError:
            return self._end("")
        self._hash.update(piece)
        self._size += len(piece)
        if not piece:
            self._end(base64.b64encode(self._hash.digest()).decode())

    def _end(self, hash: str) -> None:
        self._timer.stop()
        if self._file is not None:
            self._file.close()
        self._done(Upload(os.path.basename(self._path), self._path, hash, self._size))
