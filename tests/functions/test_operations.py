"""The runbook's Logs Insights queries match what the functions really log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from localcloud.environment import CHECKOUT
from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud import LocalCloud
    from tests.upstream import Index, Server

RUNBOOK = (CHECKOUT / "docs/operations.md").read_text()
_QUERY = re.compile(r"^### ([^\n]+)\n(?:(?!^#).)*?^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUERIES = _QUERY.findall(RUNBOOK)
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
    described = re.findall(r"^\| `(\w+)` \|", RUNBOOK, re.MULTILINE)
    assert sorted(described) == sorted(shared_cloud.stack.alarms)
