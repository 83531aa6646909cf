"""Jobs as the worker receives them from its queue, and the worker's runtime."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frumious.model import layout
from frumious.model.jobs import AllowedRemoval
from frumious.model.runs import Cursor, OpenRun
from frumious.model.types import RunId
from frumious.state.objects import render
from localcloud import Runtime
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_s3.client import S3Client

WORKER = "WorkerFunction"


def runtime(upstream: str, **variables: str) -> Runtime:
    """Return a runtime with this checkout's code and the upstream at a URL."""
    return Runtime(
        python_path=(CHECKOUT / "shared", CHECKOUT),
        config=Path(__file__).with_name("mirror.conf"),
        environment={"FRUMIOUS_MASTER": upstream, **variables},
    )


def batch(
    projects: Iterable[str], *, allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING
) -> dict[str, Any]:
    """Return the event of one batch: a run's jobs, delivered for the first time."""
    run = f"bench-{uuid.uuid4()}"
    return {
        "Records": [_record(run, project, allowed_removal=allowed_removal) for project in projects]
    }


def open_run(event: dict[str, Any], s3: S3Client, bucket: str) -> None:
    """Open the event's run, as the planner would."""
    s3.put_object(Bucket=bucket, Key=layout.CURSOR, Body=cursor([event]))


def cursor(events: Iterable[dict[str, Any]]) -> bytes:
    """Return a cursor in which the runs of some events are open."""
    runs = (RunId(json.loads(event["Records"][0]["body"])["run"]) for event in events)
    open_runs = tuple(OpenRun(run=run, since=None, sent=1.0) for run in runs)
    return render(Cursor(runs=open_runs, lagging=False))


def _record(run: str, project: str, *, allowed_removal: AllowedRemoval) -> dict[str, Any]:
    job = {"run": run, "project": project, "serial": 0, "may-lose": allowed_removal.name}
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "receipt",
        "body": json.dumps(job),
        "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": project},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
