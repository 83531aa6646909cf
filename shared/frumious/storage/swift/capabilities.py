"""The features and limits of a cluster, from its `/info`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from frumious.storage.protocol import StorageRefused
from frumious.storage.swift.account import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.storage.swift.account import SwiftAccount

_MAX_OBJECT_SIZE: Final = 5 * 1024**3  # bytes; Swift's default
_MAX_SEGMENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the cluster supports; the defaults are for one without `/info`."""

    max_object_size: int = _MAX_OBJECT_SIZE  # bytes
    max_segments: int = _MAX_SEGMENTS  # of one file
    deletes_in_bulk: bool = False
    serves_pages: bool = True  # whether it has staticweb

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Capabilities:
        """Parse the response of `/info`."""
        slo = info.get("slo", {})
        return cls(
            max_object_size=info.get("swift", {}).get("max_file_size", _MAX_OBJECT_SIZE),
            max_segments=slo.get("max_manifest_segments", _MAX_SEGMENTS),
            deletes_in_bulk="bulk_delete" in info,
            serves_pages="staticweb" in info,
        )


async def fetch(account: SwiftAccount) -> Capabilities:
    """Request `/info`, which a cluster may not have."""
    try:
        info = await account.run(
            lambda swift: swift.get_capabilities(), "its capabilities", read_only=True
        )
    except (NotFound, StorageRefused):
        return Capabilities()
    return Capabilities.of(info)
