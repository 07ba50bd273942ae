"""What the core asks its edge to do, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, Optional, Tuple

from . import untrusted
from .jobs import Job


class Trouble(Enum):
    """Why a call got no answer."""

    OFFLINE = "offline"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    PROXY = "proxy"
    TOO_LARGE = "too large"
    OTHER = "other"


@dataclass(frozen=True)
class Call:
    """An HTTP request. Redirects are not followed, so that a token never goes where it was not meant to."""

    number: int
    method: str
    url: str
    headers: Tuple[Tuple[str, str], ...]
    body: Optional[bytes]
    timeout: float
    """Seconds without an answer until it counts as lost."""
    limit: int
    """Bytes of an answer that is still read."""
    file: Optional[str] = None
    """What to send in place of a body: a file's path."""


@dataclass(frozen=True)
class Approach:
    """Connects to where a call is about to go."""

    url: str


@dataclass(frozen=True)
class OpenSocket:
    """Connects the WebSocket; an open one is dropped."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class SendSocket:
    """Says something over the WebSocket."""

    text: str


@dataclass(frozen=True)
class CloseSocket:
    """Drops the WebSocket."""


@dataclass(frozen=True)
class OpenBrowser:
    """Shows a page to the person."""

    url: str


@dataclass(frozen=True)
class KeepToken:
    """Stores the token for an address where only this person can read it; none forgets it."""

    address: str
    token: Optional[str] = field(repr=False)


@dataclass(frozen=True)
class KeepJobs:
    """Stores what must outlive Krita."""

    document: Dict[str, Any]


@dataclass(frozen=True)
class KeepBlob:
    """Stores the pictures of a request, so that it can be sent again; none deletes them."""

    name: str
    data: Optional[bytes] = field(repr=False)


@dataclass(frozen=True)
class KeepLoras:
    """Stores which files the painter has uploaded where."""

    document: Dict[str, Any]


@dataclass(frozen=True)
class Deliver:
    """A job has pictures."""

    job: Job
    pictures: Tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What came of a call: a status and a body, or a trouble."""

    status: int = 0
    kind: str = ""
    """Content type."""
    body: bytes = field(default=b"", repr=False)
    retry_after: Optional[float] = None
    """Seconds, as the server says."""
    location: str = ""
    """Where a redirect leads."""
    trouble: Optional[Trouble] = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.trouble is None and 200 <= self.status < 300

    def json(self) -> Optional[Dict[str, Any]]:
        """The object in the body, if that is one and says that it is JSON."""
        return untrusted.document(self.body) if self.kind.startswith("application/json") else None

    @property
    def is_refused(self) -> bool:
        """Whether our token is not taken."""
        return self.trouble is None and self.status == 401 and not self.is_page

    @property
    def is_page(self) -> bool:
        """Whether it is a page for a person: a hotel's sign-in, a proxy's refusal."""
        return self.kind.startswith(("text/html", "application/xhtml"))
