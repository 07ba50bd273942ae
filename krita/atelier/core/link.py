"""The WebSocket: kept open, asked after what waits, and never believed to be more than a hint."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Optional, Sequence

from . import untrusted
from .backoff import Backoff
from .effects import CloseSocket, OpenSocket, SendSocket

OPENING = 15.0
"""Seconds until a handshake counts as lost."""
SYNC, PING_BUSY, PING_IDLE, SILENCE = 45.0, 30.0, 240.0, 20.0
"""Seconds: while tasks wait, the server wants to hear of them once a minute; it hangs up after 10 min of silence; and a
laptop that slept finds out by a ping without an answer."""
ACTIVE = 60.0
"""Seconds between two signs of presence."""
LOOK = 10.0
"""Seconds between two looks at a picture that grows; the cloud takes one for 30 s."""
MOST_IDS = 20
"""In one `sync`."""
LONGEST_MESSAGE = 256 * 1024
"""Characters; API Gateway sends no more than 128 KB."""


class Link:
    """State of the socket."""

    def __init__(self, effects: List[Any], chance: Callable[[], float]) -> None:
        self._effects = effects
        self._backoff = Backoff(chance)
        self._state = "off"
        self._due = 0.0
        self._synced = self._pinged = self._heard = 0.0
        self._active: Optional[float] = None
        self._looked, self._look_again = "", 0.0
        self.presence = True
        """Whether the painter lets the studio know that they paint."""

    @property
    def is_open(self) -> bool:
        """Whether events come over it."""
        return self._state == "open"

    @property
    def is_blocked(self) -> bool:
        """Whether it was tried in vain, or is lost."""
        return not self.is_open and self._backoff.failures > 0

    def off(self) -> None:
        """Hangs up, and stays so until `tick` is called again."""
        if self._state in ("opening", "open"):
            self._effects.append(CloseSocket())
        self._state = "off"
        self._due = 0.0

    def opened(self, now: float, tasks: Sequence[str]) -> None:
        """The handshake went well: what happened in between was not kept for us, so ask."""
        if self._state != "opening":
            return
        self._state, self._heard, self._pinged, self._looked = "open", now, now, ""
        self._sync(now, tasks)

    def closed(self, now: float) -> None:
        """It is gone; how often that happened says when to try again."""
        if self._state in ("opening", "open"):
            self._state = "off"
            self._due = now + self._backoff.failed()

    def woke(self, now: float) -> None:
        """This computer slept: the other end has hung up long ago, whatever this one believes."""
        if self._state != "off":
            self._effects.append(CloseSocket())
            self._state = "off"
        self._due = now

    def heard(self, now: float, text: str) -> Optional[Dict[str, Any]]:
        """What a message says, if it is an event of ours."""
        self._heard = now
        if len(text) > LONGEST_MESSAGE:
            return None
        event = untrusted.document(text)
        if event is None or "event" not in event:
            return None
        self._backoff.worked()
        return event

    def tick(self, now: float, url: str, token: str, tasks: Sequence[str]) -> None:
        """Opens, asks, pings, hangs up."""
        if self._state == "off" and now >= self._due:
            self._state, self._due = "opening", now + OPENING
            self._effects.append(OpenSocket(url, token))
        elif self._state == "opening" and now >= self._due:
            self._effects.append(CloseSocket())
            self.closed(now)
        elif self._state == "open":
            if self._pinged > self._heard and now - self._pinged >= SILENCE:
                self._effects.append(CloseSocket())
                self.closed(now)
                return
            if tasks and now - self._synced >= SYNC:
                self._sync(now, tasks)
            if now - max(self._pinged, self._heard) >= (PING_BUSY if tasks else PING_IDLE):
                self._pinged = now
                self._say({"action": "ping"})

    def painted(self, now: float) -> None:
        """The painter is at work on the canvas."""
        if self.is_open and self.presence and (self._active is None or now - self._active >= ACTIVE):
            self._active = now
            self._say({"action": "active"})

    def look(self, now: float, task: str) -> None:
        """Somebody watches this task's picture grow."""
        if self.is_open and (task != self._looked or now >= self._look_again):
            self._looked, self._look_again = task, now + LOOK
            self._say({"action": "look", "task_id": task})

    def _sync(self, now: float, tasks: Sequence[str]) -> None:
        self._synced = now
        # One without tasks, too: the cloud has forgotten a socket that it sent to before it was open, and notes it again.
        for at in range(0, max(len(tasks), 1), MOST_IDS):
            self._say({"action": "sync", "tasks": list(tasks[at : at + MOST_IDS])})

    def _say(self, message: Dict[str, Any]) -> None:
        self._effects.append(SendSocket(json.dumps(message)))
