"""What a cluster says of itself at `/info`, as far as the mirror needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from frumious.storage.protocol import StorageRefused
from frumious.storage.swift.account import NotThere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.storage.swift.account import SwiftAccount

_LARGEST_OBJECT: Final = 5 * 1024**3  # bytes; what every Swift takes, unless somebody lowered it
_MOST_SEGMENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What can be asked of the cluster; the defaults are for one that tells nothing."""

    largest_object: int = _LARGEST_OBJECT  # bytes
    most_segments: int = _MOST_SEGMENTS  # of one file
    deletes_in_bulk: bool = False
    serves_pages: bool = True  # whether it has staticweb

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Capabilities:
        """Read the answer of `/info`."""
        slo = info.get("slo", {})
        return cls(
            largest_object=info.get("swift", {}).get("max_file_size", _LARGEST_OBJECT),
            most_segments=slo.get("max_manifest_segments", _MOST_SEGMENTS),
            deletes_in_bulk="bulk_delete" in info,
            serves_pages="staticweb" in info,
        )


async def ask(account: SwiftAccount) -> Capabilities:
    """Ask the cluster, which may keep it to itself."""
    try:
        info = await account.do(
            lambda swift: swift.get_capabilities(), "its capabilities", read_only=True
        )
    except (NotThere, StorageRefused):
        return Capabilities()
    return Capabilities.of(info)
