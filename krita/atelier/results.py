"""Pictures that have come."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, Optional

from krita import Krita

from . import canvas
from .core import untrusted
from .core.history import Past
from .core.jobs import Job, Place, State
from .core.tongue import say
from .qt import QtGui

MOST_RESULTS = 60
"""Pictures that are kept in memory; the oldest go."""


@dataclass
class Result:
    """One of them."""

    job: Job
    number: int
    image: "QtGui.QImage"

    @property
    def name(self) -> str:
        """Of its layer."""
        prompt = " ".join(self.job.prompt.split())[:60] or say("Picture")
        if self.job.group:
            label = f"{self.job.label}, {self.number + 1}" if self.number else self.job.label
            return say("{prompt} ({label})", prompt=prompt, label=label[:60])
        seed = f"{self.job.seed}, {self.number + 1}" if self.number else str(self.job.seed)
        return say("{prompt} (seed {seed})", prompt=prompt, seed=seed)


def of_before(past: Past, asked: Dict[str, Any], files: Iterable[bytes], jobs: Iterable[Job]) -> Iterator[Result]:
    """Pictures of the history, to be put where they belong if one of the jobs knows, or else where the painter looks."""
    job = next((it for it in jobs if it.task == past.task and not it.place.layer), None)
    prompt, seed = asked.get("prompt"), untrusted.whole(asked.get("seed"))
    prompt = prompt if isinstance(prompt, str) else past.prompt
    for number, file in enumerate(files):
        image = canvas.decode(file)
        if image is not None:
            place = job.place if job is not None else _here(image)
            known = job or Job(str(uuid.uuid4()), prompt, seed or 0, place, {}, state=State.DONE, task=past.task)
            yield Result(known, number, image)


def _here(image: "QtGui.QImage") -> Place:
    document = Krita.instance().activeDocument()
    selected = canvas.selection(document) if document is not None else None
    name = canvas.document_id(document) if document is not None else ""
    return Place(name, selected.x if selected else 0, selected.y if selected else 0, image.width(), image.height())
