"""Lambda: on a schedule, what workers reported is published and finished runs are closed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import frumious_lambda.cold_start  # noqa: F401 (before the others)
from frumious.finalizing.run_events import summary
from frumious.messaging.dead_letter_queue import DeadLetterQueue
from frumious.messaging.event_publisher import EventPublisher
from frumious.model.jobs import Outcome, job_counts
from frumious_lambda.environment import Environment
from frumious_lambda.finalizer import finalize_with_dead_letters

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from frumious.finalizing.finalize import Finalized

MAX_PROJECTS = 1000  # that an answer names

environment = Environment()
dead_letter_queue = DeadLetterQueue(os.environ["FRUMIOUS_DEAD_LETTERS_URL"])
bus = os.environ["FRUMIOUS_EVENT_BUS"]
event_publisher = EventPublisher(bus) if bus else None


@environment.logger.inject_lambda_context
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Finalize; return the runs that were closed, and what became of each project."""
    environment.refresh(keep_last=True)
    finalized = environment.run(
        finalize_with_dead_letters(
            environment.mirror,
            dead_letter_queue,
            event_publisher,
            deadline=environment.deadline(context),
        )
    )
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
