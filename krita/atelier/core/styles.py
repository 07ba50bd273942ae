"""Looks to choose from: words around the painter's prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from .tongue import mark


@dataclass(frozen=True)
class Style:
    """Words around a prompt."""

    name: str
    positive: str
    """Template with `{prompt}`."""
    negative: str


STYLES: Tuple[Style, ...] = (
    Style(mark("None"), "{prompt}", ""),
    Style(mark("Digital art"), "digital painting of {prompt}, detailed, clean", "photo, blurry, low quality"),
    Style(mark("Photograph"), "photograph of {prompt}, natural light, sharp focus", "painting, drawing, blurry, low quality"),
    Style(mark("Ink drawing"), "ink drawing of {prompt}, line art, black and white", "photo, colour, blurry, low quality"),
    Style(mark("Watercolour"), "watercolour of {prompt}, paper texture, soft edges", "photo, blurry, low quality"),
)
