"""Lambda: on a schedule, runs that are complete are closed and what they changed is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.engine.finalize import finalize
from frumious.engine.publish import details
from frumious_lambda import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

environment = Environment()


@environment.logger.inject_lambda_context
@environment.metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Close what is complete; answers with what became of each run's projects."""
    finalized = environment.run(finalize(environment.mirror))
    environment.count(RunsClosed=len(finalized.closed), ProjectsLagging=finalized.lagging)
    return {"closed": [details(run) for run in finalized.closed], "open": finalized.open}
