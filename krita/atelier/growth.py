"""The picture of the job that is rendered, as far as it is: in the docker, and over the canvas that it is for."""

from __future__ import annotations

from typing import Optional

from krita import Krita

from . import canvas
from .core.jobs import Job
from .core.session import Phase, Session
from .overlay import Overlay
from .qt import QtGui


class Growth:
    """What is seen of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.picture: Optional[QtGui.QImage] = None
        self._file: Optional[bytes] = None
        self._overlay = Overlay(grows=True)
        self._in_the_way = ""
        """The job whose picture the painter has painted over."""
        self._on = Krita.instance().readSetting("atelier", "on_canvas", "true") == "true"

    @property
    def on_canvas(self) -> bool:
        """Whether it is shown on the canvas."""
        return self._on

    @on_canvas.setter
    def on_canvas(self, on: bool) -> None:
        self._on = on
        Krita.instance().writeSetting("atelier", "on_canvas", "true" if on else "false")
        self.show()

    def renew(self) -> bool:
        """Takes what has come; true if that is another picture than before, or none any more."""
        file = self._session.growing.picture
        if file is self._file:
            return False
        self._file, self.picture = file, canvas.decode(file) if file is not None else None
        return True

    def painted(self) -> None:
        """The painter paints: what lies over the canvas is in the way."""
        self._in_the_way = self._session.growing.job or ""
        self.show()

    def is_seen(self) -> bool:
        """Whether somebody can see it on the canvas, or could if it was there."""
        return self._job() is not None and not Krita.instance().activeWindow().qwindow().isMinimized()

    def show(self) -> None:
        """Shows it over the canvas, or takes it away."""
        job = self._job()
        if job is None or self.picture is None:
            self._overlay.hide()
        else:
            self._overlay.show(self.picture, job.place)

    def _job(self) -> Optional[Job]:
        """The job whose picture is to grow on the canvas that the painter looks at."""
        session, document = self._session, Krita.instance().activeDocument()
        job = session.desk.jobs.get(session.growing.job or "")
        if job is None or document is None or not self._on or session.phase is not Phase.READY:
            return None
        # An enlarged canvas grows piece by piece, and a control layer is none of what is painted.
        elsewhere = job.place.enlarges or job.place.layer or canvas.document_id(document) != job.place.document
        return None if elsewhere or job.id == self._in_the_way else job
