"""How long a picture waits, in words."""

from __future__ import annotations

from typing import Optional

from .tongue import mark, say


NOTES = (
    mark("The render was interrupted; the picture starts again."),
    mark("No GPU is to be had at the moment; the picture waits and is tried again."),
)
"""Sentences of the server that are known in other languages too."""


def seconds(count: float) -> str:
    """A time that somebody waits."""
    whole = max(1, round(count))
    if whole >= 20:
        whole = round(whole / 5) * 5  # nobody wants to read each second of a minute
    return say("about {count} s", count=whole) if whole < 120 else say("about {count} min", count=round(whole / 60))


def in_line(place: int) -> str:
    """A place in line."""
    named = [mark("Next in line"), mark("Second in line"), mark("Third in line"), mark("Fourth in line")]
    return say(named[place - 1]) if place <= len(named) else say("Number {place} in line", place=place)


def waiting(note: Optional[str], position: Optional[int], eta: Optional[float]) -> str:
    """What happens to a picture that waits."""
    if note and "waking" in note:
        state = say("Waking a GPU")
    elif note and not note.startswith(("Starting", "Waiting for a GPU")):
        return say(note) if note in NOTES else note
    else:
        state = in_line(position) if position else say("Waiting")
    return state if eta is None or eta <= 0 else say("{state}, {time}", state=state, time=seconds(eta))
