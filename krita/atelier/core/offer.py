"""What the server paints with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

LINES = ("scribble", "line_art", "soft_edge", "canny_edge")
"""Control layers that are drawn black on white."""
REFERENCES = ("reference", "style", "composition", "face")
"""Control layers that the model only looks at."""
DETECTED = LINES + ("depth", "normal", "pose", "segmentation")
"""Control layers that the server finds in a canvas."""
_SINGLE = LINES + ("depth", "normal", "pose", "segmentation", "blur", "stencil")
_UNIVERSAL = {"flux": ("line_art", "soft_edge", "canny_edge", "depth", "pose", "blur")}
_UNIVERSAL_OTHERS = LINES + ("depth", "normal", "pose", "segmentation", "blur")


@dataclass(frozen=True)
class Checkpoint:
    """A model that the team may use."""

    name: str
    arch: str


@dataclass(frozen=True)
class Offer:
    """The reply to `plugin/resources`."""

    checkpoints: Tuple[Checkpoint, ...] = ()
    resources: Dict[str, str] = field(default_factory=dict)
    loras: Tuple[str, ...] = ()
    upscalers: Tuple[str, ...] = ()

    @staticmethod
    def parse(document: Dict[str, Any]) -> "Offer":
        """Reads it; what is not as it should be is left out."""
        checkpoints, resources = document.get("checkpoints"), document.get("resources")
        return Offer(
            tuple(
                Checkpoint(name, it["arch"])
                for name, it in sorted((checkpoints if isinstance(checkpoints, dict) else {}).items())
                if isinstance(it, dict) and isinstance(it.get("arch"), str)
            ),
            {k: v for k, v in (resources if isinstance(resources, dict) else {}).items() if isinstance(v, str)},
            _texts(document.get("loras")),
            _texts(document.get("upscalers")),
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
        return any(self._has(kind, arch) for kind in kinds)

    def modes(self, arch: str) -> Tuple[str, ...]:
        """Control layers that work with models of this kind."""
        universal = _UNIVERSAL.get(arch, _UNIVERSAL_OTHERS) if self._has("controlnet-universal", arch) else ()
        nets = ("controlnet", "model_patch") + (("lora",) if arch == "flux" else ())
        lines = [it for it in _SINGLE if it in universal or any(self._has(f"{net}-{it}", arch) for net in nets)]
        if self._has("ip_adapter-reference", arch):
            lines += ["reference"] if arch == "flux" else ["reference", "style", "composition"]
        if self._has("ip_adapter-face", arch) and self._has("lora-face", arch):
            lines.append("face")
        return tuple(lines)

    def upscaler(self) -> Optional[str]:
        """The file that enlarges, unless the painter names another."""
        return self.resources.get("upscaler-default-all") or (self.upscalers or (None,))[0]

    def _has(self, kind: str, arch: str) -> bool:
        archs = (arch, "illu", "all") if arch == "illu_v" else (arch, "all")
        return any(f"{kind}-{it}" in self.resources for it in archs)


def _texts(value: Any) -> Tuple[str, ...]:
    return tuple(it for it in (value if isinstance(value, list) else []) if isinstance(it, str))
