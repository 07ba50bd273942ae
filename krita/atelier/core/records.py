"""Which documents the studio records the making of: their painter says so for each, and the server keeps it."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional
from urllib.parse import quote

from . import words
from .calls import Calls
from .effects import Reply

UNNAMED = "unnamed"
"""What the server calls all that names no document."""
MOST_PAGES = 20
LONGEST_NAME = 100
"""Characters of a document's name."""


class Records:
    """What the server has said of each document. Nothing is believed to be on or off before it has."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._said: Dict[str, bool] = {}
        self.is_class = False
        """Whether the team records whoever does not refuse it."""
        self.known = False
        """Whether the server has said what is recorded; one that records nothing has no such call."""
        self.busy = False
        self.problem: Optional[str] = None

    def is_on(self, document: str) -> bool:
        """Whether this document is recorded; an empty name is one that has none."""
        usual = self._said.get(UNNAMED, self.is_class)
        return self._said.get(document, usual) if document else usual

    def look(self) -> None:
        """Asks what is recorded, once."""
        if not self.busy and not self.known:
            self.busy = True
            self._ask(None, 0)

    def say(self, document: str, name: str, on: bool) -> None:
        """The painter's word for a document of this name."""
        if self.busy:
            return
        self.busy, self.problem = True, None
        body = {"recording": on, **({"name": name[:LONGEST_NAME]} if name else {})}

        def came(_now: float, reply: Reply) -> None:
            self.busy = False
            if reply.ok:
                self._said[document] = on
            else:
                self.problem = words.of_reply(reply, self._calls.endpoint)

        self._calls.api("PUT", f"history/{quote(document, safe='')}", came, json.dumps(body).encode())

    def applied(self, task: str, picture: int) -> None:
        """The painter has put a picture of a task into its document, which is a step of how it was made."""
        body = json.dumps({"picture": picture}).encode()
        self._calls.api("POST", f"tasks/{task}/applied", lambda _now, _reply: None, body)

    def interrupt(self) -> None:
        """Somebody else may sign in."""
        self._said, self.is_class, self.known, self.busy, self.problem = {}, False, False, False, None

    def _ask(self, cursor: Optional[str], pages: int) -> None:
        more = f"?cursor={quote(cursor, safe='')}" if cursor is not None else ""
        self._calls.api("GET", f"history{more}", lambda _now, reply: self._came(pages, reply))

    def _came(self, pages: int, reply: Reply) -> None:
        page: Dict[str, Any] = reply.json() or {}
        documents, following = page.get("documents"), page.get("next")
        if not reply.ok or not isinstance(documents, list):
            self.busy = False
            return
        self.is_class = page.get("class") is True
        for it in documents:
            name, on = (it.get("document"), it.get("recording")) if isinstance(it, dict) else (None, None)
            if isinstance(name, str) and isinstance(on, bool):
                self._said[name] = on
        if isinstance(following, str) and following and pages < MOST_PAGES:
            return self._ask(following, pages + 1)
        self.busy, self.known = False, True
