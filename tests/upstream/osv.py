"""OSV's archive for PyPI, as `/PyPI/all.zip` of the index's own server."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

ARCHIVE = "/PyPI/all.zip"


class Osv:
    """The entries of the archive, which tests change; it is served once there was any."""

    def __init__(self) -> None:
        self.is_served = False
        self.entries: dict[str, dict[str, Any]] = {}
        self.raw: bytes | None = None  # served instead

    def add(
        self,
        advisory: str,
        project: str,
        *versions: str,
        ranges: list[dict[str, str]] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Add an entry; without versions and events it affects all versions."""
        self.is_served = True
        affected: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": project}}
        if versions:
            affected["versions"] = list(versions)
        if ranges or not versions:
            events = ranges or [{"introduced": "0"}]
            affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
        entry = {
            "id": advisory,
            "schema_version": "1.7.4",
            "modified": "2026-01-01T00:00:00Z",
            "affected": [affected],
            **fields,
        }
        self.entries[advisory] = entry
        return entry

    def withdraw(self, advisory: str) -> None:
        """Withdraw an entry: it stays in the archive."""
        self.entries[advisory]["withdrawn"] = "2026-01-02T00:00:00Z"

    @property
    def archive(self) -> bytes:
        """The archive as it is served."""
        if self.raw is not None:
            return self.raw
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
            for advisory, entry in sorted(self.entries.items()):
                member = zipfile.ZipInfo(f"{advisory}.json")
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, json.dumps(entry))
        return body.getvalue()
