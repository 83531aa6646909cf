"""Lambda: on a schedule, what the bucket holds is compared with what the pages name.

A tick is an empty event. It continues the audit that is under way, or begins one where the last
began `AuditDays` ago; most ticks have nothing to do. An audit goes on from tick to tick, as one of
all of PyPI takes longer than an invocation may. `frumious verify --repair` repairs what it finds.

    {"restart": true}           begin an audit now, such as after a repair
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.model.audits import Phase
from frumious.model.runs import CLOCK_SKEW
from frumious.state.audit import AuditStore
from frumious_lambda.auditor import continue_audit
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.model.audits import AuditProgress

DAY = 24 * 3600

environment = Environment()
interval = int(os.environ["FRUMIOUS_AUDIT_DAYS"]) * DAY


@environment.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Continue or begin an audit, if it is time; return how far it is, and what it found."""
    environment.refresh(keep_last=True)
    restart = event.get("restart") is True
    return environment.run(_audit(environment.deadline(context), restart=restart))


async def _audit(deadline: float, *, restart: bool) -> dict[str, Any]:
    mirror, store = environment.mirror, AuditStore(environment.mirror.storage)
    before = await store.progress()
    if before is not None and not restart and _rests(before):
        environment.report()
        return {"phase": before.phase, "began": before.began}
    if before is not None and _overdue(before):
        environment.report(audits_overdue=1)  # this tick may fail as the last ones did
    progress = await continue_audit(mirror, restart=restart, deadline=deadline)
    done = progress.phase is Phase.DONE
    if done:
        environment.logger.info("audit finished", extra={"findings": dict(progress.counts)})
    environment.report(
        audited_projects=progress.projects,
        audited_objects=progress.objects,
        audit_findings=sum(progress.counts.values()),
        audit_seconds=progress.finished - progress.began if done else None,
        # The alarms keep their state between two audits.
        damage_found=progress.damaged if done else None,
        audits_overdue=0 if done else None,
    )
    return {
        "phase": progress.phase,
        "began": progress.began,
        "projects": progress.projects,
        "objects": progress.objects,
        "found": dict(progress.counts),
    }


def _rests(progress: AuditProgress) -> bool:
    """Return whether this tick has nothing to do: or somebody else reads all files just now.

    An audit that began in the future counts as over: a clock was wrong.
    """
    age = environment.mirror.clock.now() - progress.began
    return -CLOCK_SKEW <= age < interval and (progress.phase is Phase.DONE or progress.deep)


def _overdue(progress: AuditProgress) -> int:
    """Return 1 if an audit takes longer than twice the days between two."""
    age = environment.mirror.clock.now() - progress.began
    return int(progress.phase is not Phase.DONE and age > 2 * interval)
