"""The real template with stub handlers instead of the functions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localcloud import LocalCloud, LogLine
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

STUB_PLANNER = """
import json, os, sys, time

def handler(event, context):
    if not event:
        print(json.dumps({"message": "tick"}))
    match event.get("do"):
        case "crash":
            print("last words")
            os._exit(3)
        case "raise":
            raise ValueError("no such luck")
        case "hang":
            time.sleep(60)
        case "count":
            metrics = [{"Namespace": "Test", "Dimensions": [], "Metrics": [{"Name": "Things"}]}]
            print(json.dumps({"_aws": {"CloudWatchMetrics": metrics}, "Things": event["things"]}))
        case "print":
            for number in range(event["lines"]):
                print(json.dumps({"message": "line", "number": number}))
    return {
        "event": event,
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remaining": context.get_remaining_time_in_millis(),
    }
"""

STUB_WORKER = """
import json, os, time
import boto3

sqs = boto3.client("sqs")

def handler(event, context):
    print(json.dumps({"message": "batch", "event": event, "started": time.time()}))
    failures = []
    for record in event["Records"]:
        job = json.loads(record["body"])
        time.sleep(job.get("seconds", 0))
        match job.get("do"):
            case "fail once" if record["attributes"]["ApproximateReceiveCount"] != "1":
                pass
            case "fail" | "fail once":
                failures.append({"itemIdentifier": record["messageId"]})
                if "retry" in job:
                    sqs.change_message_visibility(
                        QueueUrl=os.environ["FRUMIOUS_QUEUE_URL"],
                        ReceiptHandle=record["receiptHandle"],
                        VisibilityTimeout=job["retry"],
                    )
            case "raise":
                raise ValueError("no such luck")
            case "name a stranger":
                failures.append({"itemIdentifier": "another-message"})
    print(json.dumps({"message": "batch done", "ended": time.time()}))
    return {"batchItemFailures": failures}
"""


def make_checkout(folder: Path) -> Path:
    """Copy the template to `folder`, replace the functions by stubs, and return its path."""
    for name, code in (
        ("planner", STUB_PLANNER),
        ("worker", STUB_WORKER),
        ("finalizer", STUB_PLANNER),
        ("auditor", STUB_PLANNER),
    ):
        app = folder / "functions" / name / "app.py"
        app.parent.mkdir(parents=True)
        app.write_text(code)
    return Path(shutil.copy(CHECKOUT / "template.yaml", folder))


def ignore_line(line: LogLine) -> None:
    """Print nothing: the tests look at `LocalCloud.logs`."""


@pytest.fixture(scope="package")
def stub_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="package")
def started_cloud(stub_template: Path) -> Iterator[LocalCloud]:
    with LocalCloud(stub_template, on_line=ignore_line) as cloud:
        yield cloud


@pytest.fixture
def cloud(started_cloud: LocalCloud) -> LocalCloud:
    """A stack that works, with empty queues and nothing printed so far."""
    for queue in started_cloud.stack.queues.values():
        started_cloud.sqs.delete_queue(QueueUrl=queue.url)  # a purge is allowed once a minute
    started_cloud._create_queues()
    started_cloud.logs.lines.clear()
    return started_cloud
