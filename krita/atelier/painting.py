"""From what the painter wants and what lies on the canvas to a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Tuple

from . import canvas
from .core import untrusted
from .core.jobs import Place
from .core.offer import REFERENCES, Offer
from .core.requests import Kind, Wish, add_controls, add_regions, build, detect, enlarge, merged
from .core.sizes import Rect, Size, around, extent, reference
from .core.tongue import say

Picture = Callable[[], bytes]


class NotReady(Exception):
    """The canvas is not ready for this; says what to do."""


@dataclass
class Request:
    """A request, whose pictures are taken when they are needed."""

    workflow: Dict[str, Any]
    place: Place
    pictures: List[Picture]


def prepare(document: Any, wish: Wish, offer: Offer) -> Request:
    """The request for this wish on this document."""
    if document is None:
        raise NotReady(say("Open a picture first."))
    whole, selected = canvas.bounds(document), canvas.selection(document)
    name = canvas.document_id(document)
    if wish.kind is Kind.UPSCALE:
        workflow, target = enlarge(wish, offer, whole.size)
        place = Place(name, 0, 0, *target, enlarges=True)
        return Request(_merged(workflow, wish), place, [lambda: canvas.picture(document, whole, whole.size)])
    if wish.kind is Kind.FILL and selected is None:
        raise NotReady(say("Select what to fill first."))
    if wish.kind is Kind.GENERATE:
        rect = context = selected or whole
        workflow, sizes = build(wish, offer, rect.size, None)
        size, pictures = _smaller(rect.size, sizes.desired), []
    else:
        area = around(selected, whole, wish.strength, wish.checkpoint.arch) if selected else None
        context = area.context if area else whole
        size = _smaller(context.size, extent(context.size, wish.checkpoint.arch, two_passes=False).initial)
        workflow, _ = build(wish, offer, context.size, area, size)
        rect = area.bounds if area else context
        pictures = [lambda: canvas.picture(document, context, size)]
        pictures += [lambda: canvas.mask(document, context)] if area else []
    _controls(document, wish, workflow, pictures, context, size)
    _regions(document, wish, workflow, pictures, context)
    more = [context.x, context.y, *context.size] if context != rect else []
    return Request(_merged(workflow, wish), Place(name, rect.x, rect.y, *rect.size, context=more), pictures)


def detection(document: Any, mode: str, name: str) -> Request:
    """The request that makes a control layer of the canvas."""
    if document is None:
        raise NotReady(say("Open a picture first."))
    whole = canvas.bounds(document)
    place = Place(canvas.document_id(document), 0, 0, *whole.size, layer=name)
    return Request(detect(mode, whole.size), place, [lambda: canvas.picture(document, whole, whole.size)])


def _merged(workflow: Dict[str, Any], wish: Wish) -> Dict[str, Any]:
    return merged(workflow, untrusted.document(wish.extra) or {})


def _smaller(size: Size, other: Size) -> Size:
    return other if size[0] * size[1] > other[0] * other[1] else size


def _controls(
    document: Any, wish: Wish, workflow: Dict[str, Any], pictures: List[Picture], context: Rect, size: Size
) -> None:
    add_controls(workflow, wish.controls, len(pictures))
    for it in wish.controls:
        node = _layer(document, it.layer)
        place = (canvas.extent_of(document, node), None) if it.mode in REFERENCES else (context, size)
        if place[0].width <= 0 or place[0].height <= 0:
            raise NotReady(say("The layer “{name}” is empty. Paint on it, or choose another layer.", name=node.name()))
        pictures.append(_taken(document, node, place[0], place[1] or reference(place[0].size), it.mode))


def _taken(document: Any, node: Any, rect: Rect, size: Size, mode: str) -> Picture:
    return lambda: canvas.layer_picture(document, node, rect, size, mode)


def _regions(
    document: Any, wish: Wish, workflow: Dict[str, Any], pictures: List[Picture], context: Rect
) -> None:
    if not wish.regions:
        return
    nodes = [_layer(document, it.layer) for it in wish.regions]
    bounds = [Rect(0, 0, *context.size)] + [canvas.extent_of(document, it) for it in nodes]
    add_regions(workflow, wish, bounds, len(pictures))
    masks: List[bytes] = []

    def mask(number: int) -> bytes:
        if not masks:
            masks.extend(canvas.region_masks(document, nodes, context))
        return masks[number]

    pictures.extend(_numbered(mask, number) for number in range(len(bounds)))


def _numbered(mask: Callable[[int], bytes], number: int) -> Picture:
    return lambda: mask(number)


def _layer(document: Any, name: str) -> Any:
    node = canvas.layer_by(document, name)
    if node is None:
        raise NotReady(say("A layer that was chosen is not in this picture any more. Choose another one."))
    return node


def layers(document: Any) -> List[Tuple[str, str]]:
    """Names and ids of the layers to choose from."""
    return [(it.name(), canvas.layer_id(it)) for it in canvas.layers(document)] if document is not None else []


def groups(document: Any) -> List[Tuple[str, str]]:
    """Names and ids of the groups that can be regions, from the lowest to the uppermost."""
    chosen = [it for it in canvas.layers(document) if it.type() == "grouplayer"] if document is not None else []
    return [(it.name(), canvas.layer_id(it)) for it in chosen]
