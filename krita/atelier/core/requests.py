"""Requests as the server compiles them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .sizes import Area, Extent, Size, extent
from .styles import STYLES, Style

INLINE = 12 * 1024
"""Bytes of pictures that travel in the request; the server takes 16 KiB there."""
MOST_SEED = 2**32 - 1
MOST_PICTURES = 8
LIVE_STEPS = 6
"""The server holds the call of a picture of at most 8 steps."""
FEWEST_STEPS = 4
"""That are run, however little a picture is to change."""


class Kind(Enum):
    """What is asked for."""

    GENERATE = "generate"
    REFINE = "refine"
    FILL = "fill"
    LIVE = "live"


class Fill(Enum):
    """What a selection holds before it is painted: the server's word."""

    FILL = ("fill", "blur")
    EXPAND = ("expand", "border")
    ADD_OBJECT = ("add_object", "neutral")
    REMOVE_OBJECT = ("remove_object", "inpaint")
    REPLACE_BACKGROUND = ("replace_background", "replace")


@dataclass(frozen=True)
class Checkpoint:
    """A model that the team may use."""

    name: str
    arch: str


@dataclass(frozen=True)
class Offer:
    """What the server paints with."""

    checkpoints: Tuple[Checkpoint, ...] = ()
    resources: Dict[str, str] = field(default_factory=dict)
    loras: Tuple[str, ...] = ()

    @staticmethod
    def parse(document: Dict[str, Any]) -> "Offer":
        """Reads `plugin/resources`; what is not as it should be is left out."""
        checkpoints = document.get("checkpoints")
        resources, loras = document.get("resources"), document.get("loras")
        return Offer(
            tuple(
                Checkpoint(name, it["arch"])
                for name, it in sorted((checkpoints if isinstance(checkpoints, dict) else {}).items())
                if isinstance(it, dict) and isinstance(it.get("arch"), str)
            ),
            {k: v for k, v in (resources if isinstance(resources, dict) else {}).items() if isinstance(v, str)},
            tuple(it for it in (loras if isinstance(loras, list) else []) if isinstance(it, str)),
        )

    def checkpoint(self, name: str) -> Optional[Checkpoint]:
        """The one of this name, or else the first."""
        named = [it for it in self.checkpoints if it.name == name]
        return (named or list(self.checkpoints) or [None])[0]

    def live_lora(self, arch: str) -> Optional[str]:
        """The file that makes a few steps suffice."""
        return self.resources.get(f"lora-hyper-{'sd15' if arch == 'sd15' else 'sdxl'}")

    def fills(self, arch: str) -> bool:
        """Whether there is a model made for inpainting."""
        kinds = ("controlnet-inpaint", "inpaint-fooocus_patch", "controlnet-universal")
        return any(f"{kind}-{arch}" in self.resources for kind in kinds)


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
        "models": {"checkpoint": wish.checkpoint.name, "version": wish.checkpoint.arch, "loras": []},
        "sampling": _sampling(wish, strength),
        "conditioning": {
            "positive": wish.prompt,
            "negative": ", ".join(filter(None, (wish.style.negative, wish.negative))),
            "style": wish.style.positive,
            "control": [],
            "regions": [],
        },
        "batch_count": 1 if wish.kind is Kind.LIVE else min(MOST_PICTURES, max(1, wish.count)),
    }
    lora = offer.live_lora(wish.checkpoint.arch)
    if wish.kind is Kind.LIVE and lora is not None:
        workflow["models"]["loras"].append({"name": lora, "strength": 1.0})
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


def _sampling(wish: Wish, strength: float) -> Dict[str, Any]:
    live, flux = wish.kind is Kind.LIVE, wish.checkpoint.arch.startswith("flux")
    total = LIVE_STEPS if live else 20
    run = max(round(total * strength), min(total, 3 if live else FEWEST_STEPS))
    sampling = {
        "sampler": "euler" if live or flux else "dpmpp_2m",
        "scheduler": "sgm_uniform" if live else "simple" if flux else "karras",
        "cfg_scale": 3.5 if flux else 1.8 if live else 7.0 if wish.checkpoint.arch == "sd15" else 6.0,
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


def with_pictures(workflow: Dict[str, Any], blob: bytes, offsets: List[int], place: Optional[str]) -> bytes:
    """The body of `generate`; a blob without a place to lie in travels along."""
    data: Dict[str, Any] = {"offsets": offsets}
    if place is None:
        data["base64"] = base64.b64encode(blob).decode()
    else:
        data["s3_object"] = place
    return body({**workflow, "image_data": data} if blob else workflow)


def body(workflow: Dict[str, Any]) -> bytes:
    """The body of `generate`."""
    return json.dumps({"input": {"workflow": workflow}}).encode()
