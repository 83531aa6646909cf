"""What an auditor does; knows nothing of Lambda: the simulation runs it too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from frumious.auditing.audit import AuditSettings, audit
from frumious.model.audits import Phase
from frumious.state.status_files import publish_audit

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from frumious.model.audits import AuditProgress


async def continue_audit(
    mirror: Mirror, *, restart: bool = False, deadline: float = math.inf
) -> AuditProgress:
    """Continue the audit that is under way, or begin one; publish what a finished one found."""
    mirror = await mirror.with_stored_lists()
    progress = await audit(mirror, AuditSettings(restart=restart), deadline=deadline)
    if progress.phase is Phase.DONE:
        await publish_audit(progress, progress.counts, 0, mirror.storage)
    return progress
