"""Lambda: on a schedule, what changed upstream becomes a run of jobs on the queue.

An event that names projects (`{"projects": ["six"]}`) makes a run of those, and asks upstream
nothing; with `"may_lose": true` they may lose most of their files without an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.engine import plan
from frumious_lambda import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.model import Run

environment = Environment()
queue = environment.queue()


@environment.logger.inject_lambda_context
@environment.metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Plan a run and send its jobs; answers with its name and size."""
    run = environment.run(_plan(event.get("projects"), may_lose=event.get("may_lose", False)))
    jobs = len(run.jobs) if run is not None else 0
    environment.count(ProjectsPlanned=jobs)
    return {"run": run.run if run is not None else None, "jobs": jobs}


async def _plan(names: list[str] | None, *, may_lose: bool) -> Run | None:
    mirror = environment.mirror
    if names is None:
        run = await plan.plan_changes(mirror)
    else:
        run = plan.plan_projects(names, may_lose=may_lose)
    return await plan.start_run(run, mirror, queue)
