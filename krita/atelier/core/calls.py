"""HTTP calls on their way, and who waits for each."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Tuple

from .effects import Call, Reply

Then = Callable[[float, Reply], None]

API_TIMEOUT, API_LIMIT = 35.0, 4 * 1024 * 1024
"""API Gateway gives up after 30 s and sends 6 MB at most; ours are far smaller."""
BLOB_TIMEOUT, BLOB_LIMIT = 300.0, 1024 * 1024 * 1024


def endpoint_of(address: str) -> str:
    """The API's address as all paths need it, whether or not it was written with `/v1`."""
    address = address.strip().rstrip("/")
    if address and "://" not in address:
        address = "https://" + address
    return address if not address or address.endswith("/v1") else address + "/v1"


class Calls:
    """Numbers calls, and finds who waits for an answer."""

    def __init__(self, effects: List[Any], endpoint: str) -> None:
        self._effects = effects
        self._waiting: Dict[int, Tuple[Then, bool]] = {}
        self._moving: Dict[int, Callable[[float], None]] = {}
        self._last = 0
        self.endpoint = endpoint
        self.token: Optional[str] = None
        self.refused: Then = lambda now, reply: None
        """Hears of each 401."""

    def api(
        self,
        method: str,
        path: str,
        then: Then,
        body: Optional[bytes] = None,
        headers: Tuple[Tuple[str, str], ...] = (),
    ) -> None:
        """A call of the API."""
        if method in ("POST", "PUT"):
            body, headers = body or b"{}", headers + (("Content-Type", "application/json"),)
        if self.token is not None:
            headers += (("Authorization", "Bearer " + self.token),)
        self._send(method, f"{self.endpoint}/{path}", headers, body, API_TIMEOUT, API_LIMIT, then, True)

    def blob(self, method: str, url: str, then: Then, body: Optional[bytes] = None) -> None:
        """A call of a signed address, which our token must not reach."""
        headers = () if body is None else (("Content-Type", "application/octet-stream"),)
        self._send(method, url, headers, body, BLOB_TIMEOUT, BLOB_LIMIT, then, False)

    def file(
        self, url: str, path: str, headers: Tuple[Tuple[str, str], ...], then: Then, moved: Callable[[float], None]
    ) -> None:
        """Sends a file to a signed address, and tells the share that is sent."""
        self._last += 1
        self._waiting[self._last] = (then, False)
        self._moving = {self._last: moved}
        headers += (("Content-Type", "application/octet-stream"),)
        self._effects.append(Call(self._last, "PUT", url, headers, None, BLOB_TIMEOUT, BLOB_LIMIT, path))

    def moved(self, number: int, share: float) -> None:
        """So much of a call's body is sent."""
        if number in self._moving and number in self._waiting:
            self._moving[number](share)

    def _send(self, method, url, headers, body, timeout, limit, then, ours) -> None:  # type: ignore[no-untyped-def]
        self._last += 1
        self._waiting[self._last] = (then, ours)
        self._effects.append(Call(self._last, method, url, headers, body, timeout, limit))

    def answered(self, now: float, number: int, reply: Reply) -> None:
        """Tells who waits; nobody waits for what was dropped."""
        then, ours = self._waiting.pop(number, (None, False))
        if then is None:
            return
        if ours and reply.is_refused:
            self.refused(now, reply)
        then(now, reply)

    def drop(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()


def is_passing(reply: Reply) -> bool:
    """Whether the same call may succeed later."""
    if reply.trouble is not None:
        return True
    said = reply.json()
    ours = said is not None and "error" in said
    elsewhere = (reply.is_page and reply.status != 413) or 300 <= reply.status < 400 or reply.status in (407, 511)
    return elsewhere or reply.status in (408, 429, 502, 503, 504) or (reply.status == 500 and not ours)
