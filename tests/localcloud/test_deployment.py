"""What the template does in an account, as far as AWS's documentation says it."""

from __future__ import annotations

from typing import Any

import pytest

from frumious.model import layout
from localcloud.environment import CHECKOUT
from localcloud.template import read_template

SMALLEST_QUOTA = 10  # concurrent executions of an account ("Lambda quotas")


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read_template(CHECKOUT / "template.yaml")


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = template["Resources"]
    return resources


def test_only_tombstones_expire(resources: dict[str, Any]) -> None:
    rules = resources["MirrorBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule.get("Prefix", "") for rule in rules if "ExpirationInDays" in rule}
    kept = (layout.RUNS, layout.INBOX, layout.CURSOR, layout.LAGGING, "web/simple/")
    for prefix in expiring:
        assert not [key for key in kept if key.startswith(prefix) or prefix.startswith(key)]
    assert expiring == {"state/tombstones/"}


def test_workers_may_continue_their_own_jobs(resources: dict[str, Any]) -> None:
    worker = resources["WorkerFunction"]["Properties"]
    assert worker["RecursiveLoop"] == "Allow"


def test_the_defaults_fit_the_smallest_concurrency_quota(template: dict[str, Any]) -> None:
    parameters = template["Parameters"]
    assert parameters["SingleWriter"]["Default"] == "false"  # nothing is reserved
    for function in ("PlannerFunction", "FinalizerFunction"):
        reserved = template["Resources"][function]["Properties"]["ReservedConcurrentExecutions"]
        assert reserved == {"Fn::If": ["IsSingleWriter", 1, {"Ref": "AWS::NoValue"}]}
    assert parameters["WorkerConcurrency"]["Default"] + 2 <= SMALLEST_QUOTA


def test_only_the_deployment_that_creates_the_bucket_deletes_it(resources: dict[str, Any]) -> None:
    bucket = resources["MirrorBucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
