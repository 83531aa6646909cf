"""Lambda: on a schedule, runs that are complete are closed and what they changed is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.engine.finalize import finalize
from frumious.engine.publish import details
from frumious.engine.work import counts
from frumious_lambda import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.engine.finalize import Finalized
    from frumious.model import Job

environment = Environment()
letters = environment.dead_letters()
announcer = environment.announcer()


@environment.logger.inject_lambda_context
@environment.metrics.log_metrics
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Close what is complete; answers with what became of each run's projects."""
    dead = letters.peek()
    done_with: frozenset[Job] = frozenset()
    try:
        finalized = environment.run(
            finalize(
                environment.mirror,
                dead=[letter.job for letter in dead],
                announce=announcer,
                deadline=environment.deadline(context),
            )
        )
        done_with = frozenset(finalized.done_with)
    finally:
        letters.forget(letter.receipt for letter in dead if letter.job in done_with)
        letters.release(letter.receipt for letter in dead if letter.job not in done_with)
    count(finalized)
    return {"closed": [details(run) for run in finalized.closed], "open": finalized.open}


def count(finalized: Finalized) -> None:
    """Add the metrics of what was closed, and of how far the mirror is."""
    done = counts(result for run in finalized.closed for result in run.results.values())
    environment.count(
        RunsClosed=len(finalized.closed),
        JobsDone=sum(len(run.results) for run in finalized.closed),
        JobsFailed=done["ProjectsFailed"],
        FilesStored=done["FilesStored"],
        BytesStored=done["BytesStored"],
        ProjectsRemoved=done["ProjectsRemoved"],
        ProjectsLagging=finalized.lagging,
        LagSeconds=finalized.freshness.lag_seconds,
        LagSerials=finalized.freshness.lag_serials,
        EventsLost=announcer.take_lost() if announcer is not None else 0,
    )
