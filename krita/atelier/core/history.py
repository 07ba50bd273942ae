"""What the painter has asked for before: a list from the server, a page at a time, and what is done with one of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import quote

from . import requests, untrusted, words
from .calls import Calls
from .effects import Reply
from .tongue import mark, say

PAGE = 20
"""Entries that are asked for at once."""
MOST_EMPTY = 10
"""Pages in which nothing is found until the painter has to ask for more."""
LONGEST_SEARCH = 200
"""Characters; the server takes no more."""
SHEETS = 20
"""Groups of variants whose contact sheets are looked for."""
MOST_AT_ONCE = 3
"""Thumbnails that are fetched at the same time."""
LARGEST_THUMBNAIL = 64 * 1024
"""Bytes; the server makes none of more than 20 KB."""
GONE = mark("The pictures of this entry are not on the server any more.")
ENDS = {"canceled": mark("Canceled"), "expired": mark("Took too long"), "failed": mark("Failed")}
KINDS = {
    "generate": mark("Generate"),
    "refine": mark("Refine"),
    "inpaint": mark("Fill"),
    "refine_region": mark("Fill"),
    "upscale_simple": mark("Upscale"),
    "upscale_tiled": mark("Upscale"),
    "control_image": mark("Control layer"),
}


@dataclass(frozen=True)
class Past:
    """Something that was asked for, and is over."""

    task: str
    state: str
    created: float
    """Seconds since 1970."""
    kind: str
    """The server's word; empty where it has none."""
    prompt: str
    pictures: int
    thumbnail: str
    """Address of a small picture; empty where there is none."""
    kept: bool = False
    """The pictures stay until somebody deletes them."""

    @staticmethod
    def parse(document: Any) -> Optional["Past"]:
        """Reads an entry of the list; none if it is damaged, or not over yet."""
        if not isinstance(document, dict):
            return None
        task, state = document.get("task_id"), document.get("state")
        created = untrusted.whole(document.get("created"))
        if not isinstance(task, str) or not isinstance(state, str) or created is None:
            return None
        if state != "succeeded" and state not in ENDS:
            return None
        result = document.get("result")
        result = result if isinstance(result, dict) else {}
        offsets, small = result.get("offsets"), result.get("thumbnails")
        first = small[0] if isinstance(small, list) and small else None
        kind = document.get("kind")
        return Past(
            task=task,
            state=state,
            created=created / 1000,
            kind=kind if isinstance(kind, str) else "",
            prompt=untrusted.text(document.get("prompt")) or "",
            pictures=len(offsets) if isinstance(offsets, list) else 0,
            thumbnail=untrusted.address(first, "https", "http") or "",
            kept=result.get("kept") == "always",
        )

    def words(self) -> str:
        """What it is, for the painter."""
        name = self.prompt or (say(KINDS[self.kind]) if self.kind in KINDS else say("Picture"))
        if self.state != "succeeded":
            return say("{name}: {how}", name=name, how=say(ENDS[self.state]))
        return say("{name} ({count} pictures)", name=name, count=self.pictures) if self.pictures > 1 else name


@dataclass(frozen=True)
class Sheet:
    """The contact sheet of a group of variants: one picture of all of them, with labels."""

    created: float
    """When they were asked for, seconds since 1970."""
    count: int
    """How many variants."""
    label: str
    """What is special about the first."""
    url: str
    """Where it is, for an hour or so."""

    @staticmethod
    def parse(document: Any) -> Optional["Sheet"]:
        """Reads a group of the server's list; none if it is damaged, or has no sheet yet."""
        if not isinstance(document, dict):
            return None
        created, count = untrusted.whole(document.get("created")), untrusted.whole(document.get("variants"))
        url = untrusted.address(document.get("sheet"), "https", "http")
        if created is None or count is None or url is None:
            return None
        return Sheet(created / 1000, count, untrusted.text(document.get("label")) or "", url)

    def words(self) -> str:
        """Which it is, for the painter."""
        return say("{count} variants: {label}", count=self.count, label=self.label or "…")


class History:
    """The list as far as it was looked through. Nothing is asked for before the painter looks."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.entries: List[Past] = []
        self.thumbnails: Dict[str, bytes] = {}
        """Small pictures by their task."""
        self.asked: Dict[str, Dict[str, Any]] = {}
        """What was asked for, by the task, as far as somebody looked."""
        self.busy = False
        self.problem: Optional[str] = None
        self._text = ""
        self._next: Optional[str] = None
        self._wanted: List[Past] = []
        self._fetching = 0
        self._asked = 0
        self._empty = 0

    @property
    def goes_on(self) -> bool:
        """Whether there is more to ask for."""
        return self._next is not None

    def words(self) -> str:
        """Where the list stands, for the painter."""
        if self.problem is not None:
            return self.problem
        if self.busy:
            return say("Looking")
        if self.entries or self.goes_on:
            return ""
        return say("No prompt has these words.") if self._text else say("Nothing was painted yet.")

    def search(self, text: str) -> None:
        """Lists what has this text in its prompt; everything, if that is empty."""
        text = text.strip()[:LONGEST_SEARCH]
        if text != self._text:
            self._text, self.entries, self._next = text, [], None
            self.look()

    def look(self) -> None:
        """Asks for the newest entries."""
        self._empty = 0
        self._ask(None)

    def more(self) -> None:
        """Asks for the entries before those that are listed."""
        if self._next is not None:
            self._empty = 0
            self._ask(self._next)

    def interrupt(self) -> None:
        """No call that is on its way will be answered; somebody else may sign in."""
        self.entries, self.thumbnails, self.asked, self._wanted = [], {}, {}, []
        self.busy, self.problem, self._next, self._fetching, self._text = False, None, None, 0, ""
        self._asked += 1

    def _ask(self, cursor: Optional[str]) -> None:
        if self.busy and cursor is not None:
            return
        self.busy, self.problem = True, None
        self._asked += 1
        asked = self._asked
        more = f"&cursor={quote(cursor, safe='')}" if cursor is not None else ""
        more += f"&text={quote(self._text, safe='')}" if self._text else ""
        # Whoever paints along makes hundreds an hour.
        self._calls.api("GET", f"tasks?limit={PAGE}&without=live{more}", lambda _now, reply: self._came(asked, cursor, reply))

    def _came(self, asked: int, cursor: Optional[str], reply: Reply) -> None:
        if asked != self._asked:  # a later question is on its way
            return
        self.busy = False
        page = reply.json() or {}
        if not reply.ok or not isinstance(page.get("tasks"), list):
            self.problem = words.of_reply(reply, self._calls.endpoint)
            return
        found = [it for it in map(Past.parse, page["tasks"]) if it is not None]
        following = page.get("next")
        following = following if isinstance(following, str) and following and following != cursor else None
        self._empty = 0 if found or following is None else self._empty + 1
        first, then = (self.entries, found) if cursor is not None else (found, self.entries)
        known = {it.task for it in first}
        if cursor is None and not any(it.task in known for it in then):
            then = []  # what lies between both lists is not known
        if cursor is not None or not then:
            self._next = following
        self.entries = first + [it for it in then if it.task not in known]
        self._wanted = [it for it in self.entries if it.thumbnail and it.task not in self.thumbnails]
        self._fetch_small()
        if 0 < self._empty < MOST_EMPTY and self._next is not None:
            self._ask(self._next)

    def _fetch_small(self) -> None:
        while self._wanted and self._fetching < MOST_AT_ONCE:
            self._fetching += 1
            self._get_small(self._asked, self._wanted.pop(0))

    def _get_small(self, asked: int, past: Past) -> None:
        def came(_now: float, reply: Reply) -> None:
            self._fetching = max(0, self._fetching - 1)
            if reply.ok and len(reply.body) <= LARGEST_THUMBNAIL:  # what is lost is only not seen
                self.thumbnails[past.task] = reply.body
            self._fetch_small()

        self._calls.blob("GET", past.thumbnail, came)

    # What is done with an entry

    def choose(self, past: Past) -> None:
        """Somebody looks at this one: what it was asked with is shown, if that is known."""
        if past.task not in self.asked and not self.busy:
            self._view(past, lambda _view: None)

    def name(self, past: Past) -> str:
        """Its words, with the prompt if that is known by now."""
        prompt = untrusted.text(self.asked.get(past.task, {}).get("prompt"))
        return (replace(past, prompt=prompt) if prompt else past).words()

    def parameters(self, past: Past, then: Callable[[Optional[Dict[str, Any]]], None]) -> None:
        """What it was asked with; none if that is not known any more, or not to be had, which is said."""

        def came(view: Optional[Dict[str, Any]]) -> None:
            asked = self.asked.get(past.task)
            if view is not None and asked is None:
                self.problem = say("The settings of this entry are not known any more.")
            then(asked if view is not None else None)

        self._view(past, came)

    def pictures(
        self, past: Past, then: Callable[[Optional[Dict[str, Any]], Optional[Tuple[bytes, ...]]], None]
    ) -> None:
        """Its pictures, and what it was asked with; none if they are gone, or not to be had, which is said."""

        def seen(view: Optional[Dict[str, Any]]) -> None:
            result = view.get("result") if view is not None else None
            result = result if isinstance(result, dict) else {}
            url = untrusted.address(result.get("url"), "https", "http")
            asked = self.asked.get(past.task)
            if url is None:
                self.problem = self.problem or say(GONE)
                return then(None, None)
            self.busy = True

            def came(_now: float, reply: Reply) -> None:
                self.busy = False
                found = requests.split(reply.body, result.get("offsets")) if reply.ok else None
                if found is None:
                    passing = reply.trouble is not None or reply.status >= 500
                    self.problem = words.of_reply(reply, self._calls.endpoint) if passing else say(GONE)
                then(asked, found)

            self._calls.blob("GET", url, came)

        self._view(past, seen)

    def keep(self, past: Past, on: bool) -> None:
        """Keeps its pictures until somebody deletes them, or no longer than all."""
        self.busy, self.problem = True, None

        def came(_now: float, reply: Reply) -> None:
            self.busy = False
            found = Past.parse({"created": round(past.created * 1000), **(reply.json() or {})}) if reply.ok else None
            if found is None or found.task != past.task:
                self.problem = words.of_reply(reply, self._calls.endpoint)
                return
            self.entries = [replace(it, kept=found.kept) if it.task == past.task else it for it in self.entries]

        self._calls.api("POST" if on else "DELETE", f"tasks/{past.task}/keep", came)

    def sheets(self, then: Callable[[List[Sheet]], None]) -> None:
        """The contact sheets of the newest groups of variants. That there is none, or none to be had, is said."""
        self.busy, self.problem = True, None

        def came(_now: float, reply: Reply) -> None:
            self.busy = False
            groups = (reply.json() or {}).get("groups") if reply.ok else None
            if not isinstance(groups, list):
                self.problem = words.of_reply(reply, self._calls.endpoint)
                return
            found = [it for it in map(Sheet.parse, groups) if it is not None]
            if not found:
                self.problem = say("No contact sheet is there: one is made some minutes after a group's last variant has come.")
            then(found)

        self._calls.api("GET", f"groups?limit={SHEETS}", came)

    def _view(self, past: Past, then: Callable[[Optional[Dict[str, Any]]], None]) -> None:
        self.busy, self.problem = True, None

        def came(_now: float, reply: Reply) -> None:
            self.busy = False
            view = reply.json()
            if not reply.ok or view is None or view.get("task_id") != past.task:
                self.problem = say(GONE) if reply.status == 404 else words.of_reply(reply, self._calls.endpoint)
                view = None
            asked = view.get("parameters") if view is not None else None
            if isinstance(asked, dict):
                self.asked[past.task] = asked
            elif view is not None:
                self.asked.pop(past.task, None)
            then(view)

        self._calls.api("GET", f"tasks/{past.task}", came)
