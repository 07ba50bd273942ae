"""What becomes of one request, from the click to the picture."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any, Dict, List, Optional

from . import untrusted
from .tongue import say
from .waiting import waiting

MOST_JOBS = 200
"""That are read back at a start."""


class State(Enum):
    """Where a job stands."""

    UPLOADING = "uploading"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


OVER = (State.DONE, State.FAILED, State.CANCELED)


@dataclass
class Place:
    """Where a result belongs."""

    document: str
    """Unique id of the open document."""
    x: int
    y: int
    width: int
    height: int
    enlarges: bool = False
    """The canvas becomes as large as the result."""
    layer: str = ""
    """Name of the control layer that the result becomes by itself."""
    context: List[int] = field(default_factory=list)
    """What the model sees of the canvas, of which the result is a part: x, y, width, height; empty if it is the same."""


@dataclass
class Job:
    """One request of the painter."""

    id: str
    """Also the idempotency key: however often it is submitted, there is one task."""
    prompt: str
    seed: int
    place: Place
    workflow: Dict[str, Any] = field(repr=False)
    offsets: List[int] = field(default_factory=list)
    """Where each picture of the request begins in its blob."""
    size: int = 0
    """Bytes of that blob."""
    live: bool = False
    variants: Dict[str, Any] = field(default_factory=dict)
    """What is varied; then it becomes a group's jobs once the server has said which those are."""
    group: str = ""
    """The group that it is one of."""
    record: str = ""
    """Name of its document, for the record of how that was made; empty for one that has none."""
    label: str = ""
    """What is special about it in its group."""
    state: State = State.SUBMITTING
    task: Optional[str] = None
    progress: float = 0.0
    version: int = 0
    note: Optional[str] = None
    position: Optional[int] = None
    eta: Optional[float] = None
    """Seconds until the picture is expected, counted from `heard`."""
    heard: float = 0.0
    """When that was said."""
    trouble: Optional[str] = None
    """Why the last call about it got nowhere; it is tried again."""
    error: Optional[str] = None
    unwanted: bool = False
    """Canceled before the server has said which task it is."""

    @property
    def is_over(self) -> bool:
        """Whether nothing happens to it any more by itself."""
        return self.state in OVER

    @property
    def is_waiting(self) -> bool:
        """Whether the server works on it, as far as we know."""
        return self.task is not None and self.state in (State.QUEUED, State.RUNNING, State.CANCELING)

    def told(self, now: float, view: Dict[str, Any]) -> None:
        """Takes a snapshot of the task, unless it is older than what is known or no snapshot."""
        version, state = view.get("version"), view.get("state")
        if type(version) is not int or version < self.version or not self.is_waiting:
            return
        error = view.get("error")
        said = untrusted.text(error.get("message")) if isinstance(error, dict) else None
        if state in ("queued", "running"):
            if self.state is State.CANCELING:
                return
            self.state = State(state)
        elif state == "canceling":
            self.state = State.CANCELING
        elif state == "succeeded":
            self.state = State.CANCELED if self.unwanted else State.FETCHING
        elif state == "failed":
            self.state = State.FAILED
            self.error = said or say("The picture failed. Send it again.")
        elif state == "canceled":
            self.state = State.CANCELED
        elif state == "expired":
            self.state = State.FAILED
            self.error = say("The picture took too long and was given up. Send it again.")
        else:
            return
        self.version, self.trouble = version, None
        progress = untrusted.number(view.get("progress"))
        self.progress = self.progress if progress is None else min(1.0, max(0.0, progress))
        if state == "queued":
            self.note = untrusted.text(view.get("note")) or self.note
            self.expect(now, view)
        else:
            self.note = self.position = self.eta = None

    def expect(self, now: float, said: Dict[str, Any]) -> None:
        """Takes place in line and expected time, where they are said."""
        position, eta = untrusted.whole(said.get("position")), untrusted.number(said.get("eta_s"))
        self.position = self.position if position is None else position
        if eta is not None:
            self.eta, self.heard = eta, now

    def words(self, now: float) -> str:
        """Where it stands, for the painter."""
        words = self._words(now)
        return f"{words}. {self.trouble}" if self.trouble and not self.is_over else words

    def _words(self, now: float) -> str:
        if self.state is State.QUEUED:
            left = self.eta - (now - self.heard) if self.eta is not None else None
            return waiting(self.note, self.position, left)
        return {
            State.UPLOADING: say("Sending the canvas"),
            State.SUBMITTING: say("Sending"),
            State.RUNNING: say("Rendering {percent} %", percent=round(self.progress * 100)),
            State.CANCELING: say("Canceling"),
            State.FETCHING: say("Fetching the pictures"),
            State.DONE: say("Done"),
            State.FAILED: self.error or say("It failed."),
            State.CANCELED: say("Canceled"),
        }[self.state]

    def keep(self) -> Dict[str, Any]:
        """As a document of JSON."""
        return {**asdict(self), "state": self.state.value}

    @staticmethod
    def recall(document: Any) -> Optional["Job"]:
        """Reads `keep`'s; none if it is damaged."""
        try:
            parts = {it.name: document[it.name] for it in fields(Job) if it.name in document}
            place = Place(**document["place"])
            job = Job(**{**parts, "place": place, "state": State(document["state"])})
        except (TypeError, KeyError, ValueError):
            return None
        texts = (job.id, job.prompt, job.group, job.label, job.record, place.document, job.task or "", job.note or "", job.error or "")
        numbers = (job.seed, job.size, job.version, place.x, place.y, place.width, place.height)
        job.position, job.eta, job.trouble = untrusted.whole(job.position), None, None
        job.progress = untrusted.number(job.progress) or 0.0
        sound = (
            all(isinstance(it, str) for it in texts)
            and all(type(it) is int for it in numbers)
            and isinstance(job.workflow, dict)
            and isinstance(job.variants, dict)
            and isinstance(job.offsets, list)
            and isinstance(place.context, list)
            and len(place.context) in (0, 4)
            and all(type(it) is int for it in place.context)
        )
        return job if sound else None
