"""Looks to choose from: words around the painter's prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Style:
    """Words around a prompt."""

    name: str
    positive: str
    """Template with `{prompt}`."""
    negative: str


STYLES: Tuple[Style, ...] = (
    Style("None", "{prompt}", ""),
    Style("Digital art", "digital painting of {prompt}, detailed, clean", "photo, blurry, low quality"),
    Style("Photograph", "photograph of {prompt}, natural light, sharp focus", "painting, drawing, blurry, low quality"),
    Style("Ink drawing", "ink drawing of {prompt}, line art, black and white", "photo, colour, blurry, low quality"),
    Style("Watercolour", "watercolour of {prompt}, paper texture, soft edges", "photo, blurry, low quality"),
)
