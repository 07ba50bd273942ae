"""The protocol libraries that the package carries: nothing else of this Python sees them by their path."""

from __future__ import annotations

import sys
from pathlib import Path

_CARRIED = [str(it) for it in sorted((Path(__file__).parent / "carried").glob("*.whl"))]
sys.path[:0] = _CARRIED
try:
    import h11
    import wsproto
    import wsproto.events
    import wsproto.utilities
finally:
    del sys.path[: len(_CARRIED)]

__all__ = ["h11", "wsproto"]
