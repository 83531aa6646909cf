"""The runbook's Logs Insights queries match what the functions really log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from localcloud.environment import CHECKOUT
from localcloud.metrics import Metric
from localcloud.stack_reader import StackReader
from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud import LocalCloud
    from tests.upstream import Index, Server

RUNBOOK = (CHECKOUT / "docs/operations.md").read_text()
_QUERY = re.compile(r"^### ([^\n]+)\n(?:(?!^#).)*?^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUERIES = _QUERY.findall(RUNBOOK)
# What the local stack does not measure, with the names of the dimensions, and what is
# sent only while projects lag.
DOCUMENTED_BY_AWS = {
    ("AWS/CloudFront", "BytesDownloaded", "DistributionId", "Region"),
    ("AWS/Lambda", "Duration", "FunctionName"),
    ("AWS/S3", "BucketSizeBytes", "BucketName", "StorageType"),
    ("Frumious", "ProjectsLagging", "service"),
}
LANGUAGE = re.compile(
    r"and|as|bin|by|count|desc|fields|filter|latest|like|limit|max|or|sort|stats|sum"
)


def log_lines(cloud: LocalCloud) -> list[Mapping[str, Any]]:
    return [line.fields for line in cloud.logs.lines if line.fields]


def named_fields(query: str) -> set[str]:
    """Return the fields that a query reads, without CloudWatch's own and its own aliases."""
    text = re.sub(r'"[^"]*"|bin\(\w+\)', "", query)
    words = set(re.findall(r"(?<![@\w])[a-z_]+\b", text))
    aliases = set(re.findall(r" as (\w+)", text))
    return {word for word in words - aliases if not LANGUAGE.fullmatch(word)}


def test_queries_find_the_fields_that_the_functions_log(
    shared_cloud: LocalCloud, shared_index: Index
) -> None:
    cloud = shared_cloud
    for name in ("seen", "unseen"):
        shared_index.upload(wheel(name, "1.0"))
    cloud.tick("PlannerFunction")
    cloud.pump()
    cloud.tick("FinalizerFunction")
    for name in ("seen", "unseen"):
        shared_index.remove_project(name)
    cloud.tick("PlannerFunction")  # which is stopped
    cloud.invoke("PlannerFunction", {"confirm_removals": 2})
    cloud.pump()
    cloud.tick("FinalizerFunction")
    lines = log_lines(cloud)

    for title, query in QUERIES:
        match = re.match(r'filter message = "(.+?)"', query)
        if match is None or match[1] == "project failed":
            continue
        matching = [line for line in lines if line.get("message") == match[1]]
        assert matching, title
        missing = named_fields(query) - {name for line in matching for name in line}
        assert missing == set(), title


def test_the_dashboard_shows_only_what_exists(
    shared_cloud: LocalCloud, shared_index: Index
) -> None:
    cloud = shared_cloud
    shared_index.upload(wheel("shown", "1.0"))
    cloud.tick("PlannerFunction")
    cloud.pump()
    cloud.tick("FinalizerFunction")
    cloud.alarm_states()
    lines = log_lines(cloud)
    reader = StackReader(CHECKOUT / "template.yaml", cloud.endpoint, {"Dashboard": "true"})
    properties = reader.resolver.resolve(reader.resources["OverviewDashboard"]["Properties"])

    for widget in json.loads(properties["DashboardBody"])["widgets"]:
        shown = widget["properties"]
        if query := shown.get("query"):
            assert shown["query"].startswith("SOURCE 'WorkerLogs' | ")
            fields = {name for line in lines if "files_stored" in line for name in line}
            assert named_fields(query.partition(" | ")[2]) <= fields, shown["title"]
        for namespace, name, *dimensions in shown.get("metrics", ()):
            pairs = zip(dimensions[::2], dimensions[1::2], strict=True)
            metric = Metric(namespace, name, frozenset(pairs))
            known = (namespace, name, *dimensions[::2]) in DOCUMENTED_BY_AWS
            assert known or metric in cloud.metrics.names(), shown["title"]
    defaults = StackReader(CHECKOUT / "template.yaml", cloud.endpoint, {})
    assert "OverviewDashboard" not in defaults.resources


def test_the_query_for_failed_projects_names_each_with_its_reason(
    cloud: LocalCloud, index: Index, upstream: Server
) -> None:
    (query,) = (query for title, query in QUERIES if title == "Failed projects")
    index.upload(wheel("demo", "1.0"))
    upstream.faults.add(Fault(Status(503), "/simple/demo/"))
    cloud.invoke("PlannerFunction", {"projects": ["demo"]})
    cloud.pump()
    (line,) = (line for line in log_lines(cloud) if line.get("message") == "project failed")
    assert named_fields(query) <= line.keys()
    assert line["project"] == "demo"
    assert line["error"]


def test_the_runbook_says_what_to_do_about_each_alarm(shared_cloud: LocalCloud) -> None:
    described = re.findall(r"^\| `(\w+Alarm)` \|", RUNBOOK, re.MULTILINE)
    assert sorted(described) == sorted(shared_cloud.stack.alarms)
