"""How large the passes of a picture are, and which piece of the canvas a selection needs. Pixels throughout."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, hypot, sqrt
from typing import Dict, Tuple

Size = Tuple[int, int]

MULTIPLE = 16
"""Of the sides of a pass."""
MOST = 4096
"""Longest side of a pass that the server takes."""
REFERENCE = 512
TRAINED: Dict[str, Tuple[int, int]] = {"sd15": (512 * 512, 512 * 768)}
"""Pixels that a model paints well in its first pass, from and to, by architecture."""
TRAINED_OTHERS = (800 * 800, 1024 * 1024)
MOST_PIXELS = 2048 * 2048
"""Of a second pass, or of the only one."""


@dataclass(frozen=True)
class Rect:
    """A piece of the canvas."""

    x: int
    y: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        """Width and height."""
        return self.width, self.height

    def grown(self, by: int, within: "Rect") -> "Rect":
        """Larger on each side, cut at the canvas."""
        left, top = max(within.x, self.x - by), max(within.y, self.y - by)
        right = min(within.x + within.width, self.x + self.width + by)
        bottom = min(within.y + within.height, self.y + self.height + by)
        return Rect(left, top, max(0, right - left), max(0, bottom - top))

    def relative_to(self, other: "Rect") -> "Rect":
        """The same piece, counted from another's corner."""
        return Rect(self.x - other.x, self.y - other.y, self.width, self.height)


@dataclass(frozen=True)
class Extent:
    """Sizes of the passes."""

    initial: Size
    desired: Size
    target: Size


def trained(arch: str) -> Tuple[int, int]:
    """Pixels that the architecture paints well, from and to."""
    return TRAINED.get(arch, TRAINED_OTHERS)


def _multiple(size: Tuple[float, float]) -> Size:
    def side(value: float) -> int:
        return min(MOST, max(MULTIPLE, ceil(value / MULTIPLE - 1e-6) * MULTIPLE))

    return side(size[0]), side(size[1])


def _scaled(size: Size, least: int, most: int) -> Size:
    """The same shape with pixels between both."""
    area = size[0] * size[1]
    factor = sqrt(least / area) if area < least else min(1.0, sqrt(most / area))
    return _multiple((size[0] * factor, size[1] * factor))


def extent(target: Size, arch: str, two_passes: bool) -> Extent:
    """Passes for a piece of canvas: composed at a size that the model knows, then rendered at the canvas's own."""
    least, most = trained(arch)
    desired = _scaled(target, least, MOST_PIXELS)
    initial = _scaled(target, least, most) if two_passes else desired
    return Extent(initial, desired, target)


def upscaled(canvas: Size, factor: float) -> Size:
    """An enlarged canvas."""
    return round(canvas[0] * factor), round(canvas[1] * factor)


def reference(size: Size) -> Size:
    """A picture that a model only looks at: it sees no more than 512 pixels of the shorter side."""
    factor = min(1.0, REFERENCE / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


@dataclass(frozen=True)
class Area:
    """What a selection means for a request."""

    context: Rect
    """Piece of the canvas that the model sees."""
    bounds: Rect
    """Where the result lies, in pixels of the canvas."""
    grow: int
    feather: int
    blend: int


def around(selection: Rect, canvas: Rect, strength: float, arch: str) -> Area:
    """The surroundings that a selection needs, so that what is painted fits them."""
    feather = round(max(0.1 * hypot(*selection.size), 32) * strength)
    grow = feather // 2 + 4
    bounds = selection.grown(grow + feather, canvas)
    short = ceil(sqrt(trained(arch)[0]))
    padding = max(max(bounds.size) // 4, (short - min(bounds.size)) // 2 if min(bounds.size) < short else 0)
    context = bounds.grown(padding, canvas)
    return Area(context, bounds, grow, feather, min(25, grow + feather // 2))
