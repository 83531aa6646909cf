"""How much the mirror may still store: `max-mirror-size`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from frumious.errors import Reason
from frumious.value import Mutable

if TYPE_CHECKING:
    from collections.abc import Collection

    from frumious.model.blobs import Blob
    from frumious.model.types import Key


class MirrorBudget(Mutable):
    """The bytes that the jobs of a process may store, until a finalizer has counted them."""

    left: float = math.inf

    @classmethod
    def of(cls, limit: int, used: int) -> MirrorBudget:
        """Return what is left of a limit; 0: there is no limit."""
        return cls(limit - used) if limit else cls()

    def refuse(self, project: str, blobs: Collection[Blob]) -> dict[Key, str]:
        """Return why none of a project's new files may be stored; empty: all may, and count.

        A file without a size counts as nothing: `max-file-size` limits those.
        """
        needed = sum(blob.expected.size or 0 for blob in blobs if blob.expected is not None)
        if not needed or needed <= self.left:
            self.left -= needed
            return {}
        text = (
            f"{project!r} needs {needed} bytes, and max-mirror-size leaves {max(0, self.left):.0f}"
        )
        return {blob.key: Reason.MIRROR_FULL.explain(text) for blob in blobs}
