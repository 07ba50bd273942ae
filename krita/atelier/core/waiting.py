"""How long a picture waits, in words."""

from __future__ import annotations

from typing import Optional


def seconds(count: float) -> str:
    """A time that somebody waits."""
    whole = max(1, round(count))
    if whole >= 20:
        whole = round(whole / 5) * 5  # nobody wants to read each second of a minute
    return f"about {whole} s" if whole < 120 else f"about {round(whole / 60)} min"


def ordinal(place: int) -> str:
    """A place in line."""
    named = {1: "next", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
    return named.get(place, f"number {place}")


def waiting(note: Optional[str], position: Optional[int], eta: Optional[float]) -> str:
    """What happens to a picture that waits."""
    time = f", {seconds(eta)}" if eta is not None and eta > 0 else ""
    if note and "waking" in note:
        return f"Waking a GPU{time}"
    if note and not note.startswith(("Starting", "Waiting for a GPU")):
        return note
    if position:
        return f"{ordinal(position).capitalize()} in line{time}"
    return f"Waiting{time}"
