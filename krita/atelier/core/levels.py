"""How much is shown: a choice of the painter's, and suggested once by what they use."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Optional

from .requests import Kind, Wish


class Level(Enum):
    """From one prompt and one button to everything."""

    SIMPLE = "simple"
    STANDARD = "standard"
    EXPERT = "expert"


PICTURES_UNTIL_STANDARD = 10
"""Painted at the simple level until the next one is suggested."""
FINE_PICTURES_UNTIL_EXPERT = 20
"""Painted with control layers, LoRAs, regions or a seed until the expert level is suggested."""


class Use:
    """What the painter has used, as far as it matters."""

    def __init__(self, stored: Any = None) -> None:
        counts = stored if isinstance(stored, dict) else {}
        self._counts = {name: counts[name] if type(counts.get(name)) is int else 0 for name in ("pictures", "fine")}
        suggested = counts.get("suggested")
        self._suggested = [it for it in suggested if isinstance(it, str)] if isinstance(suggested, list) else []

    def keep(self) -> Dict[str, Any]:
        """As a document of JSON."""
        return {**self._counts, "suggested": self._suggested}

    def painted(self, wish: Wish, chose_seed: bool) -> None:
        """A request was sent."""
        if wish.kind is not Kind.LIVE:
            self._counts["pictures"] += 1
            self._counts["fine"] += bool(wish.controls or wish.loras or wish.regions or chose_seed)

    def suggestion(self, level: Level) -> Optional[Level]:
        """A level to suggest to who works at this one; each is said once."""
        wanted = None
        if level is Level.SIMPLE and self._counts["pictures"] >= PICTURES_UNTIL_STANDARD:
            wanted = Level.STANDARD
        if level is Level.STANDARD and self._counts["fine"] >= FINE_PICTURES_UNTIL_EXPERT:
            wanted = Level.EXPERT
        return wanted if wanted is not None and wanted.value not in self._suggested else None

    def suggested(self, level: Level) -> None:
        """It was said, and answered."""
        self._suggested.append(level.value)
