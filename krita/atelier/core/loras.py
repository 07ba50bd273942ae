"""LoRAs of the painter's own: sent to the studio once, and named by their hash from then on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import untrusted, words
from .backoff import Backoff
from .calls import Calls, is_passing
from .effects import KeepLoras, Reply
from .tongue import say

MOST_TRIES = 5
"""To store a file at addresses that refuse it."""


@dataclass
class Upload:
    """A file on its way."""

    name: str
    path: str
    hash: str
    """Base64 of the SHA-256; empty if the file could not be read."""
    size: int
    share: float = 0.0
    """That is sent."""
    error: Optional[str] = None
    due: float = 0.0
    busy: bool = False
    tries: int = 0

    def words(self) -> str:
        """Where it stands, for the painter."""
        if self.error is not None:
            return f"{self.name}: {self.error}"
        return say("Uploading {name}: {percent} %", name=self.name, percent=round(self.share * 100))


class Loras:
    """What the painter's team has of theirs, as far as this Krita knows, and what is on its way."""

    def __init__(self, effects: List[Any], calls: Calls, chance: Callable[[], float], stored: Any) -> None:
        self._effects, self._calls = effects, calls
        self._backoff = Backoff(chance)
        self._known: Dict[str, Dict[str, str]] = {}
        for endpoint, names in (stored if isinstance(stored, dict) else {}).items():
            if isinstance(names, dict):
                self._known[endpoint] = {k: v for k, v in names.items() if isinstance(v, str)}
        self.upload: Optional[Upload] = None

    @property
    def own(self) -> Tuple[Tuple[str, str], ...]:
        """Names and hashes of what this server has."""
        return tuple(sorted(self._known.get(self._calls.endpoint, {}).items()))

    def send(self, now: float, upload: Upload) -> None:
        """Takes a file; one at a time."""
        if not upload.hash:
            upload.error = say("The file cannot be read. Check it, and try again.")
        if self.upload is None or self.upload.error is not None:
            self.upload = upload
            self.tick(now)

    def forget(self) -> None:
        """The painter has read what went wrong."""
        self.upload = None

    def interrupt(self) -> None:
        """No call that is on its way will be answered."""
        if self.upload is not None:
            self.upload.busy = False

    def tick(self, now: float) -> None:
        """Asks for a place, when it is time to."""
        it = self.upload
        if it is None or it.busy or it.error is not None or now < it.due:
            return
        it.busy, it.share = True, 0.0
        body = json.dumps({"hash": it.hash, "size": it.size}).encode()
        self._calls.api("POST", "upload/lora", lambda at, reply: self._placed(at, it, reply), body)

    def _placed(self, now: float, it: Upload, reply: Reply) -> None:
        said = reply.json() or {}
        status, url = said.get("status"), untrusted.address(said.get("url"), "https", "http")
        if not reply.ok:
            self._wrong(now, it, reply)
        elif status == "cached":
            self._there(it)
        elif status == "too-large":
            most = untrusted.whole(said.get("max"))
            it.error = say("The file is too large: {most} MB are the most.", most=(most or 0) // 10**6)
        elif status == "limit-exceeded":
            it.error = say("Your team has as many LoRAs as it may have. Ask your studio to remove some.")
        elif status == "upload" and url is not None:
            headers = (("x-amz-checksum-sha256", it.hash),)
            self._calls.file(url, it.path, headers, lambda at, put: self._sent(at, it, put), lambda s: self._moved(it, s))
        else:
            it.busy, it.due = False, now + self._backoff.failed()

    @staticmethod
    def _moved(it: Upload, share: float) -> None:
        it.share = share

    def _sent(self, now: float, it: Upload, reply: Reply) -> None:
        if reply.ok:
            return self._there(it)
        it.tries += not is_passing(reply)
        if it.tries >= MOST_TRIES:
            it.error = say("The file could not be stored on the server. Try again.")
        else:
            it.busy, it.due = False, now + self._backoff.failed(reply.retry_after)

    def _there(self, it: Upload) -> None:
        self._backoff.worked()
        self._known.setdefault(self._calls.endpoint, {})[it.name] = it.hash
        self.upload = None
        self._effects.append(KeepLoras({k: dict(v) for k, v in self._known.items()}))

    def _wrong(self, now: float, it: Upload, reply: Reply) -> None:
        it.busy = False
        if reply.is_refused or is_passing(reply):
            it.due = now + self._backoff.failed(reply.retry_after)
        else:
            it.error = words.of_reply(reply, self._calls.endpoint)
