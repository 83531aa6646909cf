"""What an invocation reports: few metrics, and one log line with everything else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from frumious_lambda.environment import METRICS
from localcloud.environment import CHECKOUT
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud import LocalCloud
    from tests.upstream import Index

FUNCTIONS = ("PlannerFunction", "WorkerFunction", "FinalizerFunction", "AuditorFunction")
ADDED_BY_POWERTOOLS = re.compile(
    r"level|location|message|timestamp|service|cold_start|function_\w+|xray_trace_id"
)


def documented() -> dict[str, set[str]]:
    """Return the fields of each function, by the table in docs/cost.md."""
    columns = r"(.*?)\|" * len(FUNCTIONS)
    rows = re.findall(rf"^\| `([a-z_]+)` \|{columns}", _document(), re.MULTILINE)
    return {
        function: {field for field, *marks in rows if marks[column].strip() == "x"}
        for column, function in enumerate(FUNCTIONS)
    }


def _document() -> str:
    return (CHECKOUT / "docs" / "cost.md").read_text()


def metrics(cloud: LocalCloud) -> Iterator[dict[str, Any]]:
    for line in cloud.logs.lines:
        fields = line.fields or {}
        for directive in fields.get("_aws", {}).get("CloudWatchMetrics", ()):
            for metric in directive["Metrics"]:
                yield {"name": metric["Name"], "dimensions": directive["Dimensions"]}


def test_each_invocation_logs_the_documented_fields(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("demo", "1.0"))
    cloud.tick("PlannerFunction")
    cloud.pump()
    cloud.tick("FinalizerFunction")
    cloud.tick("AuditorFunction")

    logged = {
        line.function: {name for name in line.fields if not ADDED_BY_POWERTOOLS.fullmatch(name)}
        for line in cloud.logs.lines
        if line.fields and line.fields.get("message") == "invocation finished"
    }

    assert logged == documented()
    assert cloud.logs.total("files_stored") == 1, "a wheel, counted once; its metadata is no file"


def test_an_idle_stack_sends_one_metric(cloud: LocalCloud) -> None:
    cloud.tick("PlannerFunction")
    cloud.logs.lines.clear()
    cloud.tick("PlannerFunction")
    cloud.tick("FinalizerFunction")

    assert list(metrics(cloud)) == [{"name": "LagSeconds", "dimensions": [["service"]]}]


def test_the_documented_metrics_are_those_that_are_sent() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \|", _document(), re.MULTILINE)
    assert sorted(rows) == sorted(METRICS.values())
