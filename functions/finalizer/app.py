"""Lambda: on a schedule, what workers reported is published and finished runs are closed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.finalizing.finalize import finalize
from frumious.finalizing.run_events import summary
from frumious.messaging.dead_letter_queue import DeadLetterQueue
from frumious.messaging.event_publisher import EventPublisher
from frumious.model.jobs import Outcome, job_counts
from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.finalizing.finalize import Finalized
    from frumious.model.jobs import Job

MAX_PROJECTS = 1000  # that an answer names

environment = Environment()
dead_letter_queue = DeadLetterQueue(os.environ["FRUMIOUS_DEAD_LETTERS_URL"])
bus = os.environ["FRUMIOUS_EVENT_BUS"]
event_publisher = EventPublisher(bus) if bus else None


@environment.logger.inject_lambda_context
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Finalize; return the runs that were closed, and what became of each project."""
    environment.refresh(keep_last=True)
    dead = dead_letter_queue.receive()
    obsolete: frozenset[Job] = frozenset()
    try:
        finalized = environment.run(
            finalize(
                environment.mirror,
                dead=[message.job for message in dead],
                publish_events=event_publisher,
                deadline=environment.deadline(context),
            )
        )
        obsolete = frozenset(finalized.obsolete)
    finally:
        dead_letter_queue.delete(each.receipt for each in dead if each.job in obsolete)
        dead_letter_queue.return_to_queue(each.receipt for each in dead if each.job not in obsolete)
    report(finalized)
    results = finalized.results[:MAX_PROJECTS]
    return {
        "closed": [summary(review) for review in finalized.closed],
        "open": finalized.open,
        "projects": {
            result.project: Outcome.FAILED if result.error else result.outcome for result in results
        },
        "errors": {result.project: result.error for result in results if result.error},
    }


def report(finalized: Finalized) -> None:
    """Log what was published, and how far the mirror is; the workers log what they stored."""
    environment.report(
        runs_closed=len(finalized.closed),
        jobs_done=len(finalized.reports),
        jobs_failed=job_counts(finalized.results)["projects_failed"],
        projects_blocked=sum(bool(result.blocked_by) for result in finalized.results),
        projects_lagging=finalized.lagging,
        # Without a successful planner there is no lag: the alarm takes its absence for a breach.
        lag_seconds=finalized.freshness.lag_seconds if finalized.freshness.checked else None,
        lag_serials=finalized.freshness.lag_serials,
        events_lost=event_publisher.pop_lost_count() if event_publisher is not None else 0,
    )
