"""What the template does in an account, as far as AWS's documentation says it."""

from __future__ import annotations

from typing import Any

import pytest

from frumious.model import layout
from localcloud.environment import CHECKOUT
from localcloud.template import read_template


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    resources: dict[str, Any] = read_template(CHECKOUT / "template.yaml")["Resources"]
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
