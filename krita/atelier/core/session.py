"""One connection of one Krita: signing in, coming back by itself, and everything that needs both."""

from __future__ import annotations

import json
from enum import Enum
from math import inf
from typing import Any, Callable, Dict, List, Optional

from . import requests, untrusted, words
from .backoff import Backoff
from .calls import Calls, endpoint_of, is_passing
from .desk import Desk
from .effects import KeepToken, OpenBrowser, Reply
from .growing import Growing
from .history import History
from .jobs import Job, State
from .link import Link
from .loras import Loras
from .offer import Offer
from .records import Records
from .tongue import language, say

CONFIRM, CONFIRM_LIMIT = 2.0, 300.0
"""Seconds between two looks whether somebody has let us in, and in all."""


class Phase(Enum):
    """Where the connection stands."""

    NO_ADDRESS = "no address"
    SIGNED_OUT = "signed out"
    SIGNING_IN = "signing in"
    CONNECTING = "connecting"
    READY = "ready"
    AWAY = "away"


class Session:
    """Events in by its methods, each with a `now` in seconds that never goes back; effects out by `take`."""

    def __init__(
        self, address: str, stored: Any, chance: Callable[[], float], new_id: Callable[[], str], loras: Any = None
    ) -> None:
        self._effects: List[Any] = []
        self._calls = Calls(self._effects, endpoint_of(address))
        self._calls.refused = self._refused
        self.link = Link(self._effects, chance)
        self.desk = Desk(self._effects, self._calls, chance, stored)
        self.loras = Loras(self._effects, self._calls, chance, loras)
        self.growing = Growing()
        self.history = History(self._calls)
        self.records = Records(self._calls)
        self._backoff = Backoff(chance)
        self._new_id = new_id
        self._due = 0.0
        self._asking = False
        self._client = ""
        self._until = 0.0
        self._socket = ""
        self.offer = Offer()
        self.name = ""
        self.problem: Optional[str] = None
        self.phase = Phase.NO_ADDRESS
        self._look_at_address()

    @property
    def endpoint(self) -> str:
        """The API's address."""
        return self._calls.endpoint

    def take(self) -> List[Any]:
        """What is to be done now, in order."""
        effects, self._effects[:] = list(self._effects), []
        return effects

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.phase in (Phase.CONNECTING, Phase.AWAY) and not self._asking and now >= self._due:
            self._asking = True
            self._calls.api("GET", "user", self._known)
        if self.phase is Phase.SIGNING_IN and not self._asking and now >= self._due:
            self._confirm(now)
        if self.phase is Phase.READY:
            if self._socket and self._calls.token:
                self.link.tick(now, self._socket, self._calls.token, self.desk.unfinished())
            self.desk.socket_is_open = self.link.is_open
            self.desk.tick(now)
            self.growing.tick(now, self.link, self.desk.jobs.values())
            self.loras.tick(now)

    def words(self) -> str:
        """Where the connection stands, for the painter."""
        if self.problem and self.phase is not Phase.READY:
            return self.problem
        return {
            Phase.NO_ADDRESS: say("Enter the address that your studio gave you."),
            Phase.SIGNED_OUT: say("Sign in to paint with your studio's GPUs."),
            Phase.SIGNING_IN: say("Approve this Krita on the page that has opened in the browser."),
            Phase.CONNECTING: say("Connecting"),
            Phase.AWAY: say("The connection is lost. It is tried again by itself."),
            Phase.READY: say(
                "Connected as {name}, without live progress" if self.link.is_blocked else "Connected as {name}", name=self.name
            ),
        }[self.phase]

    # Signing in

    def use_token(self, token: Optional[str]) -> None:
        """Connects with a token that is there already."""
        if token and self.phase is not Phase.NO_ADDRESS:
            self._calls.token, self.phase = token, Phase.CONNECTING

    def move(self, now: float, address: str) -> None:
        """The person has entered another address: the token of the old one is not for it."""
        if endpoint_of(address) != self.endpoint:
            self._forget()
            self._calls.endpoint = endpoint_of(address)
        self._look_at_address()

    def _look_at_address(self) -> None:
        sound = untrusted.address(self.endpoint, "https", "http") is not None
        self.phase = Phase.SIGNED_OUT if sound else Phase.NO_ADDRESS
        self.problem = say("This is no address. It must begin with https://.") if self.endpoint and not sound else None

    def sign_in(self, now: float) -> None:
        """Begins the device-code flow."""
        if self.phase in (Phase.NO_ADDRESS, Phase.SIGNING_IN, Phase.READY):
            return
        self._forget()
        self.phase, self._asking, self._until = Phase.SIGNING_IN, True, now + CONFIRM_LIMIT
        self._client = self._new_id()
        self._calls.api("POST", "auth/initiate", self._initiated, self._body(client_info="Atelier for Krita"))

    def sign_out(self) -> None:
        """Forgets the token."""
        self._forget()
        self.phase = Phase.SIGNED_OUT

    def _forget(self) -> None:
        self._calls.drop()
        self.desk.interrupt()
        self.loras.interrupt()
        self.history.interrupt()
        self.records.interrupt()
        self.link.off()
        self._calls.token, self._asking, self.problem = None, False, None
        self._effects.append(KeepToken(self.endpoint, None))

    def _body(self, **more: str) -> bytes:
        return json.dumps({"client_id": self._client, **more}).encode()

    def _initiated(self, now: float, reply: Reply) -> None:
        self._asking = False
        page = (reply.json() or {}).get("url")
        if not reply.ok or not isinstance(page, str) or not page.startswith("/"):
            self.phase, self.problem = Phase.SIGNED_OUT, words.of_reply(reply, self.endpoint)
            return
        self._due = now + CONFIRM
        asked = f"{'&' if '?' in page else '?'}lang={language()}" if language() else ""
        self._effects.append(OpenBrowser(self.endpoint + page + asked))

    def _confirm(self, now: float) -> None:
        if now >= self._until:
            self.phase, self.problem = Phase.SIGNED_OUT, say("Nobody approved this Krita in 5 minutes. Sign in again.")
            return
        self._asking = True
        self._calls.api("POST", "auth/confirm", self._confirmed, self._body())

    def _confirmed(self, now: float, reply: Reply) -> None:
        self._asking, self._due = False, now + CONFIRM
        token = (reply.json() or {}).get("token")
        if reply.ok and isinstance(token, str) and token:
            self._calls.token, self._due = token, now
            self.phase = Phase.CONNECTING
            self._effects.append(KeepToken(self.endpoint, token))
        elif not reply.ok and not is_passing(reply):
            self.phase, self.problem = Phase.SIGNED_OUT, words.of_reply(reply, self.endpoint)

    # Connecting

    def _known(self, now: float, reply: Reply) -> None:
        user = reply.json()
        name = untrusted.text(user.get("name")) if user is not None else None
        if self._lost(now, reply, name is not None):
            return
        assert user is not None and name is not None
        self.name, self.desk.credits = name, untrusted.whole(user.get("credits"))
        self.records.is_class = user.get("recording") is True
        # The token travels no more openly than it does to the API.
        schemes = ("wss",) if self.endpoint.startswith("https:") else ("wss", "ws")
        self._socket = untrusted.address(user.get("socket"), *schemes) or ""
        self._calls.api("GET", "plugin/resources", self._offered)

    def _offered(self, now: float, reply: Reply) -> None:
        document = reply.json()
        if self._lost(now, reply, document is not None and isinstance(document.get("checkpoints"), dict)):
            return
        assert document is not None
        # Never asked again without need: it would count as a painter who is there, and wake a GPU.
        self._asking, self._due = False, inf
        self._backoff.worked()
        self.offer, self.problem = Offer.parse(document), None
        if self.phase is not Phase.READY:
            self.phase = Phase.READY
            self.desk.resume(now)
            self.records.look()

    def _lost(self, now: float, reply: Reply, sound: bool) -> bool:
        """Whether there is no connection by what a call has brought."""
        if reply.ok and sound:
            return False
        self._asking = False
        if self.phase is Phase.SIGNED_OUT:
            return True
        self._due = now + self._backoff.failed(reply.retry_after)
        self.phase, self.problem = Phase.AWAY, words.of_reply(reply, self.endpoint)
        return True

    def _refused(self, now: float, reply: Reply) -> None:
        if self.phase is Phase.SIGNED_OUT:
            return
        said = words.of_reply(reply, self.endpoint)
        self.link.off()
        self.desk.interrupt()
        self.loras.interrupt()
        self.history.interrupt()
        self.records.interrupt()
        self._asking = False
        self.phase, self.problem = Phase.SIGNED_OUT, said

    # Jobs

    def submit(self, now: float, job: Job, blob: bytes) -> None:
        """Sends a request with the pictures that it needs."""
        self.desk.submit(job, blob)
        self.tick(now)

    def again(self, now: float, job_id: str) -> None:
        """Sends a request once more that failed or was canceled."""
        self.desk.again(job_id, self._new_id())
        self.tick(now)

    def price(
        self, workflow: Dict[str, Any], variants: Dict[str, Any], then: Callable[[Optional[int]], None]
    ) -> None:
        """Asks what a request may cost with all that is varied in it, in credits."""

        def told(now: float, reply: Reply) -> None:
            text = reply.body[:20].decode(errors="replace").strip()
            then(int(text) if reply.ok and text.isdecimal() else None)

        if self.phase is Phase.READY:
            asked = requests.body(workflow, variants) if variants else json.dumps(workflow).encode()
            self._calls.api("POST", "admin/cost", told, asked)

    def moved(self, number: int, share: float) -> None:
        """So much of a call's body is sent, 0 to 1."""
        self._calls.moved(number, share)

    def live_is_busy(self) -> bool:
        """Whether a live picture is on its way: the next one waits for it, and only the latest is sent."""
        return any(job.live and job.state is not State.FAILED for job in self.desk.jobs.values())

    # What comes

    def answered(self, now: float, number: int, reply: Reply) -> None:
        """A call was answered, or will not be."""
        self._calls.answered(now, number, reply)
        self.tick(now)

    def socket_opened(self, now: float) -> None:
        """The WebSocket is there."""
        self.link.opened(now, self.desk.unfinished())
        self.tick(now)

    def socket_closed(self, now: float) -> None:
        """The WebSocket is gone, or never came: look now, in case something was missed."""
        self.link.closed(now)
        self.desk.resume(now)

    def woke(self, now: float) -> None:
        """This computer slept."""
        self.link.woke(now)
        self._due = min(self._due, now) if self.phase is Phase.AWAY else self._due
        self.desk.resume(now)
        self.tick(now)

    def socket_said(self, now: float, text: str) -> None:
        """A message came over the WebSocket."""
        event = self.link.heard(now, text)
        if event is not None and event["event"] == "task":
            self.desk.told(now, event)
            self.tick(now)
        elif event is not None and event["event"] == "preview":
            self.growing.heard(event, self.desk.jobs)
