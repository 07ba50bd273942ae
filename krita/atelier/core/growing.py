"""The picture of a running job as it grows: asked for while somebody looks, shown, and kept nowhere."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Dict, Iterable, Optional

from . import untrusted
from .jobs import Job, State
from .link import Link

AFTER = 1.0
"""Seconds that a job is rendered before its picture is asked for: who is warm has the whole one by then, and what is seen of it
on its way would only hold it up."""
MOST = 12 * 1024
"""Bytes of one picture; the cloud sends no larger ones."""
_JPEG = b"\xff\xd8\xff"


class Growing:
    """What is seen of the job that is rendered now."""

    def __init__(self) -> None:
        self.looks = False
        """Whether somebody can see it."""
        self.job: Optional[str] = None
        """Id of the job whose picture this is."""
        self.picture: Optional[bytes] = None
        """A JPEG, as far as the picture is."""
        self._run, self._seq, self._since = "", 0, 0.0

    def tick(self, now: float, link: Link, jobs: Iterable[Job]) -> None:
        """Asks for the picture of the first job that is rendered. A live one is there before anybody could look."""
        job = next((it for it in jobs if it.state is State.RUNNING and not it.live), None)
        if job is None or job.id != self.job:
            self.job, self.picture, self._run, self._seq = job.id if job is not None else None, None, "", 0
            self._since = now
        if job is not None and job.task and self.looks and now - self._since >= AFTER:
            link.look(now, job.task)

    def heard(self, event: Dict[str, Any], jobs: Dict[str, Job]) -> None:
        """A picture came, perhaps late, of another run, or none at all."""
        job = jobs.get(self.job) if self.job is not None else None
        if job is None or job.task != event.get("task_id") or job.state is not State.RUNNING:
            return
        run, seq, text = event.get("run_id"), untrusted.whole(event.get("seq")), event.get("jpeg")
        if not isinstance(run, str) or seq is None or not isinstance(text, str) or len(text) > 2 * MOST:
            return
        if run == self._run and seq <= self._seq:
            return
        try:
            picture = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return
        if len(picture) <= MOST and picture.startswith(_JPEG):
            self.picture, self._run, self._seq = picture, run, seq
