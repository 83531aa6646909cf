"""Python's garbage collector, set for processes that keep most of what they have."""

from __future__ import annotations

import gc
from typing import Final

# How many objects more than before exist when the collector looks at the new ones. Python's own
# 700 are exceeded again and again by fifty downloads, which leave no garbage.
_THRESHOLD: Final = 10_000


def collect_rarely() -> None:
    """Let the collector skip what exists now, which stays, and look less often at the rest."""
    gc.freeze()
    gc.set_threshold(_THRESHOLD)
    gc.enable()
