"""Lambda: on a schedule, runs that are complete are closed and what they changed is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.finalizing.finalize import finalize
from frumious.finalizing.summaries import details
from frumious.syncing.delivery import counts
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.finalizing.finalize import Finalized
    from frumious.model.jobs import Job

environment = Environment()
dead_letter_queue = environment.dead_letter_queue()
event_publisher = environment.event_publisher()


@environment.logger.inject_lambda_context
@environment.metrics.log_metrics
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Close what is complete; answers with what became of each run's projects."""
    dead = dead_letter_queue.receive()
    done_with: frozenset[Job] = frozenset()
    try:
        finalized = environment.run(
            finalize(
                environment.mirror,
                dead=[letter.job for letter in dead],
                publish_events=event_publisher,
                deadline=environment.deadline(context),
            )
        )
        done_with = frozenset(finalized.done_with)
    finally:
        dead_letter_queue.delete(letter.receipt for letter in dead if letter.job in done_with)
        dead_letter_queue.return_to_queue(
            letter.receipt for letter in dead if letter.job not in done_with
        )
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
        EventsLost=event_publisher.pop_lost_count() if event_publisher is not None else 0,
    )
