"""Requests as the server compiles them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import untrusted
from .groups import Variants
from .offer import Checkpoint, Offer
from .sizes import Area, Extent, Rect, Size, extent, upscaled
from .styles import STYLES, Style

INLINE = 12 * 1024
"""Bytes of pictures that travel in the request; the server takes 16 KiB there."""
MOST_SEED = 2**32 - 1
MOST_PICTURES = 8
STEPS = 20
LIVE_STEPS = 6
"""The server holds the call of a picture of at most 8 steps."""
FEWEST_STEPS = 4
"""That are run, however little a picture is to change."""


class Kind(Enum):
    """What is asked for."""

    GENERATE = "generate"
    REFINE = "refine"
    FILL = "fill"
    UPSCALE = "upscale"
    LIVE = "live"


class Fill(Enum):
    """What a selection holds before it is painted: the server's word."""

    FILL = ("fill", "blur")
    EXPAND = ("expand", "border")
    ADD_OBJECT = ("add_object", "neutral")
    REMOVE_OBJECT = ("remove_object", "inpaint")
    REPLACE_BACKGROUND = ("replace_background", "replace")
    KEEP = ("custom", "none")


@dataclass(frozen=True)
class Control:
    """A layer that guides the picture."""

    mode: str
    """The server's word."""
    layer: str
    """Unique id of the layer."""
    strength: float = 1.0
    end: float = 1.0
    """Share of the making after which it guides no more."""


@dataclass(frozen=True)
class Lora:
    """A small file that changes a model."""

    name: str
    strength: float = 1.0
    hash: str = ""
    """Base64 of the SHA-256, of a file that the painter has uploaded."""


@dataclass(frozen=True)
class Region:
    """A part of the picture with words of its own."""

    layer: str
    """Unique id of the group that covers it."""
    prompt: str


@dataclass(frozen=True)
class Sampling:
    """What an expert sets; what is none is chosen by the model."""

    sampler: Optional[str] = None
    scheduler: Optional[str] = None
    steps: Optional[int] = None
    guidance: Optional[float] = None


@dataclass(frozen=True)
class Wish:
    """What the painter has set."""

    kind: Kind
    prompt: str
    negative: str = ""
    style: Style = STYLES[0]
    checkpoint: Checkpoint = Checkpoint("", "sd15")
    strength: float = 1.0
    """Share of the picture's making that is done anew, 0 to 1."""
    count: int = 1
    seed: int = 0
    fill: Fill = Fill.FILL
    controls: Tuple[Control, ...] = ()
    loras: Tuple[Lora, ...] = ()
    regions: Tuple[Region, ...] = ()
    """From the lowest to the uppermost."""
    sampling: Sampling = Sampling()
    factor: float = 2.0
    """How much larger, of an upscale."""
    variants: Variants = Variants()
    extra: str = "{}"
    """JSON to merge into the request."""


def readable(text: str) -> str:
    """What an expert wrote, if it is an object of JSON or nothing; raises `ValueError` otherwise."""
    if text.strip() and untrusted.document(text) is None:
        raise ValueError(text)
    return text.strip() or "{}"


def merged(workflow: Dict[str, Any], extra: Dict[str, Any]) -> Dict[str, Any]:
    """A request with an expert's own values in place of ours."""
    both = {key: extra[key] if key in extra else workflow[key] for key in (*workflow, *extra)}
    for key, value in workflow.items():
        if isinstance(value, dict) and isinstance(extra.get(key), dict):
            both[key] = merged(value, extra[key])
    return both


def build(
    wish: Wish, offer: Offer, target: Size, area: Optional[Area], sent: Optional[Size] = None
) -> Tuple[Dict[str, Any], Extent]:
    """The `workflow` of a request. `target` is the piece of canvas it is about, `area` what a selection means for it,
    and `sent` the size of the picture that goes along, if one does."""
    strength = 1.0 if wish.kind is Kind.GENERATE else min(1.0, max(0.01, wish.strength))
    sizes = extent(target, wish.checkpoint.arch, two_passes=wish.kind is Kind.GENERATE)
    images: Dict[str, Any] = {
        "extent": {
            "input": list(sent or sizes.initial),
            "initial": list(sizes.initial),
            "desired": list(sizes.desired),
            "target": list(target),
        }
    }
    workflow: Dict[str, Any] = {
        "kind": "generate",
        "images": images,
        "models": _models(wish, offer),
        "sampling": sampling(wish, strength),
        "conditioning": _conditioning(wish),
        "batch_count": 1 if wish.kind is Kind.LIVE else min(MOST_PICTURES, max(1, wish.count)),
    }
    if sent is not None:
        workflow["kind"] = "refine"
        images["initial_image"] = 0
    if sent is not None and area is not None:
        paints_anew = wish.kind is Kind.FILL and strength == 1.0
        workflow["kind"] = "inpaint" if paints_anew else "refine_region"
        images["hires_mask"] = 1
        bounds = area.bounds.relative_to(area.context)
        workflow["inpaint"] = {
            "mode": wish.fill.value[0],
            "target_bounds": [bounds.x, bounds.y, bounds.width, bounds.height],
            "fill": wish.fill.value[1],
            "grow": area.grow,
            "feather": area.feather,
            "blend": area.blend,
            "use_inpaint_model": paints_anew and offer.fills(wish.checkpoint.arch),
        }
        workflow["crop_upscale_extent"] = list(sizes.desired)
        workflow["color_match"] = 1.0
    return workflow, sizes


def enlarge(wish: Wish, offer: Offer, canvas: Size) -> Tuple[Dict[str, Any], Size]:
    """The `workflow` that enlarges the canvas, and how large it becomes. Without strength nothing is painted anew."""
    target = upscaled(canvas, wish.factor)
    model = {"model": offer.upscaler() or ""}
    if wish.strength <= 0:
        sizes = {"input": list(canvas), "initial": list(canvas), "desired": list(target), "target": list(target)}
        return {"kind": "upscale_simple", "images": {"extent": sizes, "initial_image": 0}, "upscale": model}, target
    tile = 672 if wish.checkpoint.arch == "sd15" else 896
    passes = [-(-side // 16) * 16 for side in target]
    sizes = {"input": list(canvas), "initial": passes, "desired": [tile, tile], "target": list(target)}
    conditioning = _conditioning(wish)
    conditioning["regions"], conditioning["positive"] = [], wish.prompt or "4k uhd"
    if "blur" in offer.modes(wish.checkpoint.arch):
        conditioning["control"] = [{"mode": "blur", "strength": 0.5}]
    workflow = {
        "kind": "upscale_tiled",
        "images": {"extent": sizes, "initial_image": 0},
        "models": _models(wish, offer),
        "sampling": sampling(wish, wish.strength),
        "conditioning": conditioning,
        "upscale": model,
        "color_match": 1.0,
    }
    return workflow, target


def detect(mode: str, canvas: Size) -> Dict[str, Any]:
    """The `workflow` that makes a control layer of the canvas."""
    sizes = {name: list(canvas) for name in ("input", "initial", "desired", "target")}
    whole = {"mode": "fill", "target_bounds": [0, 0, *canvas]}
    images = {"extent": sizes, "initial_image": 0}
    return {"kind": "control_image", "images": images, "inpaint": whole, "control_mode": mode}


def _models(wish: Wish, offer: Offer) -> Dict[str, Any]:
    loras: List[Dict[str, Any]] = []
    live = offer.live_lora(wish.checkpoint.arch) if wish.kind is Kind.LIVE else None
    if live is not None:
        loras.append({"name": live, "strength": 1.0})
    for it in wish.loras:
        loras.append({"name": it.name, "strength": it.strength, **({"storage_id": it.hash} if it.hash else {})})
    return {"checkpoint": wish.checkpoint.name, "version": wish.checkpoint.arch, "loras": loras}


def _conditioning(wish: Wish) -> Dict[str, Any]:
    removes = wish.kind is Kind.FILL and wish.fill is Fill.REMOVE_OBJECT
    return {
        "positive": wish.prompt or ("background scenery" if removes else ""),
        "negative": ", ".join(filter(None, (wish.style.negative, wish.negative))),
        "style": wish.style.positive,
        "control": [],
        "regions": [],
    }


def add_controls(workflow: Dict[str, Any], controls: Sequence[Control], first: int) -> None:
    """Lets layers guide the picture, the pictures of which are the request's from number `first` on."""
    for number, it in enumerate(controls, first):
        control: Dict[str, Any] = {"mode": it.mode, "image": number, "strength": it.strength}
        if it.end < 1.0:
            control["range"] = [0.0, it.end]
        workflow["conditioning"]["control"].append(control)


def add_regions(workflow: Dict[str, Any], wish: Wish, bounds: Sequence[Rect], first: int) -> None:
    """Gives parts of the picture words of their own. The first of `bounds`, and of the masks from number `first` on,
    is the background, which is all that no region covers."""
    words = [wish.prompt] + [", ".join(filter(None, (it.prompt, wish.prompt))) for it in wish.regions]
    for number, (rect, positive) in enumerate(zip(bounds, words), first):
        area = [rect.x, rect.y, rect.width, rect.height]
        region = {"mask": number, "bounds": area, "positive": positive, "control": [], "loras": []}
        workflow["conditioning"]["regions"].append(region)


def sampling(wish: Wish, strength: float) -> Dict[str, Any]:
    """How the model is run, for this share of the picture's making."""
    live, flux = wish.kind is Kind.LIVE, wish.checkpoint.arch.startswith("flux")
    own = Sampling() if live else wish.sampling
    total = LIVE_STEPS if live else own.steps or STEPS
    run = max(round(total * strength), min(total, 3 if live else FEWEST_STEPS))
    guidance = 3.5 if flux else 1.8 if live else 7.0 if wish.checkpoint.arch == "sd15" else 6.0
    sampling = {
        "sampler": own.sampler or ("euler" if live or flux else "dpmpp_2m"),
        "scheduler": own.scheduler or ("sgm_uniform" if live else "simple" if flux else "karras"),
        "cfg_scale": guidance if own.guidance is None else own.guidance,
        "total_steps": total,
        "seed": wish.seed,
    }
    if run < total:
        sampling["start_step"] = total - run
    return sampling


def join(pictures: Sequence[bytes]) -> Tuple[bytes, List[int]]:
    """All pictures of a request in one blob, and where each begins."""
    offsets, at = [], 0
    for picture in pictures:
        offsets.append(at)
        at += len(picture)
    return b"".join(pictures), offsets


def split(blob: bytes, offsets: Any) -> Optional[Tuple[bytes, ...]]:
    """The pictures of a result; none if the offsets do not fit the blob."""
    if not isinstance(offsets, list) or not offsets or not all(type(it) is int for it in offsets):
        return None
    ends = offsets[1:] + [len(blob)]
    if offsets[0] != 0 or any(begin >= end for begin, end in zip(offsets, ends)):
        return None
    return tuple(blob[begin:end] for begin, end in zip(offsets, ends))


def with_pictures(
    workflow: Dict[str, Any],
    blob: bytes,
    offsets: List[int],
    place: Optional[str],
    variants: Optional[Dict[str, Any]] = None,
    document: str = "",
    live: bool = False,
) -> bytes:
    """The body of `generate`; a blob without a place to lie in travels along."""
    data: Dict[str, Any] = {"offsets": offsets}
    if place is None:
        data["base64"] = base64.b64encode(blob).decode()
    else:
        data["s3_object"] = place
    return body({**workflow, "image_data": data} if blob else workflow, variants, document, live)


def body(
    workflow: Dict[str, Any], variants: Optional[Dict[str, Any]] = None, document: str = "", live: bool = False
) -> bytes:
    """The body of `generate`, for a document of this name if it has one. Strokes of live painting are listed apart."""
    varied = {"variants": variants} if variants else {}
    options = {**({"document": document} if document else {}), **({"live": True} if live else {})}
    chosen = {"options": options} if options else {}
    return json.dumps({"input": {"workflow": workflow, **varied, **chosen}}).encode()
