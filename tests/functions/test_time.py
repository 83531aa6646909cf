"""A project that takes longer than a worker's timeout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud import LocalCloud
from localcloud.environment import CHECKOUT
from tests.functions.conftest import make_runtime
from tests.upstream import Fault, Slow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

FILES = 30
SECONDS_FOR_A_FILE = 0.6  # with four at a time, that is more than a worker's timeout


def test_continuations_store_a_project_that_outlasts_a_job(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    template = (CHECKOUT / "template.yaml").read_text()
    (tmp_path / "functions").symlink_to(CHECKOUT / "functions")
    short = tmp_path / "template.yaml"
    short.write_text(template.replace("Timeout: 900", "Timeout: 17"))
    for number in range(FILES):
        index.add_file("demo", f"demo-{number}.tar.gz", size=60_000)
    upstream.faults.add(Fault(Slow(rate=60_000 / SECONDS_FOR_A_FILE), "/packages/"))

    with LocalCloud(short, runtime=make_runtime(tmp_path, upstream)) as cloud:
        cloud.invoke("PlannerFunction", {"projects": ["demo"]})
        pumped = cloud.pump()
        response = cloud.tick("FinalizerFunction")

    assert pumped.batches > 1
    assert pumped.failed == 0
    assert response["projects"] == {"demo": "updated"}
    assert [run["files_added"] for run in response["closed"]] == [FILES]
    downloads = len(upstream.requests_for("/packages/"))
    assert downloads <= FILES + 4 * pumped.batches, "only interrupted files are downloaded again"
