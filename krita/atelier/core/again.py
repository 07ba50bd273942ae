"""From what the server says a picture was asked with, back to what a painter sets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Iterator, List, Tuple

from . import untrusted
from .levels import Level
from .offer import Checkpoint, Offer
from .requests import MOST_PICTURES, MOST_SEED, Kind, Lora, Sampling, Wish, sampling
from .styles import STYLES, Style

KINDS = {
    "generate": Kind.GENERATE,
    "refine": Kind.REFINE,
    "refine_region": Kind.FILL,
    "inpaint": Kind.FILL,
    "upscale_simple": Kind.UPSCALE,
    "upscale_tiled": Kind.UPSCALE,
}
LONGEST_PROMPT = 20_000
"""Characters; the server takes no longer ones."""


def again(asked: Dict[str, Any], offer: Offer, own: Tuple[Tuple[str, str], ...]) -> Tuple[Wish, Level, List[str]]:
    """The wish that asks for the same, the lowest level that shows all of it, and what is not offered any more. Regions
    and control layers stay in the document that they were of. `own` are names and hashes of the painter's own LoRAs."""
    gone: List[str] = []
    kind = KINDS.get(str(asked.get("kind")), Kind.GENERATE)
    style, negative = _style(_text(asked.get("style_prompt")), _text(asked.get("negative_prompt")))
    named = _text(asked.get("checkpoint"))
    checkpoint = next((it for it in offer.checkpoints if it.name == named), None)
    if named and checkpoint is None:
        gone.append(named)
    checkpoint = checkpoint or offer.checkpoint("") or Checkpoint("", "sd15")
    fast = offer.live_lora(checkpoint.arch)
    if asked.get("kind") in ("refine", "refine_region") and fast and any(_name(it) == fast for it in _list(asked.get("loras"))):
        kind = Kind.LIVE
    strength = untrusted.number(asked.get("strength"))
    if asked.get("kind") == "refine_region" and strength is not None:
        strength = min(strength, 0.99)  # of all of a few steps: what was there is still seen
    wish = Wish(
        kind=kind,
        prompt=_text(asked.get("prompt")),
        negative=negative,
        style=style,
        checkpoint=checkpoint,
        strength=min(1.0, max(0.01, strength)) if strength is not None else 0.0 if kind is Kind.UPSCALE else 1.0,
        count=min(MOST_PICTURES, max(1, untrusted.whole(asked.get("count")) or 1)),
        seed=min(MOST_SEED, untrusted.whole(asked.get("seed")) or 0),
        loras=tuple(_loras(asked.get("loras"), offer, dict(own), gone)),
    )
    wish = replace(wish, sampling=_sampling(asked, wish))
    return wish, Level.STANDARD if wish.sampling == Sampling() else Level.EXPERT, gone


def _text(value: Any) -> str:
    return value[:LONGEST_PROMPT] if isinstance(value, str) else ""


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []


def _name(lora: Any) -> str:
    return _text(lora.get("name")) if isinstance(lora, dict) else ""


def _style(positive: str, negative: str) -> Tuple[Style, str]:
    """The style of this template, and what the painter wrote beside what the style avoids."""
    for style in STYLES[1:]:
        if style.positive == positive and negative.startswith(style.negative):
            return style, negative[len(style.negative) :].lstrip(", ")
    return STYLES[0], negative


def _loras(asked: Any, offer: Offer, own: Dict[str, str], gone: List[str]) -> Iterator[Lora]:
    for it in _list(asked):
        name = _name(it)
        strength = untrusted.number(it.get("strength")) if name else None
        if name and (name in own or name in offer.loras):
            yield Lora(name, 1.0 if strength is None else strength, own.get(name, ""))
        elif name and name not in offer.resources.values():  # which the extension adds by itself
            gone.append(name)


def _sampling(asked: Dict[str, Any], wish: Wish) -> Sampling:
    """What differs from what the model would choose."""
    usual, steps = sampling(wish, wish.strength), untrusted.whole(asked.get("steps"))
    guidance = untrusted.number(asked.get("guidance"))
    sampler, scheduler = _text(asked.get("sampler")), _text(asked.get("scheduler"))
    return Sampling(
        sampler if sampler and sampler != usual["sampler"] else None,
        scheduler if scheduler and scheduler != usual["scheduler"] else None,
        steps if steps and steps != usual["total_steps"] else None,
        guidance if guidance and guidance != usual["cfg_scale"] else None,
    )
