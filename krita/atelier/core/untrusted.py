"""Reads what a server says, which may be anything."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, Dict, Optional
from urllib.parse import SplitResult, urlsplit

LONGEST_TEXT = 300
"""Characters that are shown of a server's words."""
MOST = 2**53
"""Beyond it no number of the protocol means anything."""


def _no_number(text: str) -> None:
    raise ValueError(text)


def document(text: "str | bytes") -> Optional[Dict[str, Any]]:
    """The object that this JSON is; none for anything else."""
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def number(value: Any) -> Optional[float]:
    """A number that is one."""
    if type(value) not in (int, float) or abs(value) > MOST or not isfinite(value):
        return None
    return float(value)


def whole(value: Any) -> Optional[int]:
    """A count."""
    return value if type(value) is int and 0 <= value <= MOST else None


def text(value: Any) -> Optional[str]:
    """Words to show: one line, and not longer than somebody reads."""
    if not isinstance(value, str) or not value.strip():
        return None
    line = " ".join(value[: 4 * LONGEST_TEXT].split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def address(value: Any, *schemes: str) -> Optional[str]:
    """An address with one of these schemes."""
    parts = split(value) if isinstance(value, str) else None
    return value if parts is not None and parts.scheme in schemes and parts.hostname else None


def split(value: str) -> Optional[SplitResult]:
    """The parts of an address; none if it is none."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018, it is read to be checked
    except ValueError:
        return None
    return parts


def host(value: str) -> str:
    """The host of an address, to be named to the painter."""
    parts = split(value)
    return (parts.netloc.rpartition("@")[2] if parts else "") or "this address"
