"""What takes longer than a function's timeout: a project, or upstream's answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from frumious.messaging.job_queue import JobQueue
from frumious.planning.dispatch import start_runs
from frumious.upstream.failures import TooSlow
from frumious_lambda.planner import Planner
from frumious_lambda.planner_event import PlannerEvent
from localcloud import LocalCloud
from localcloud.environment import CHECKOUT
from tests.functions.conftest import make_runtime
from tests.upstream import Fault, Slow, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server
    from tests.world import World

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


@pytest.mark.parametrize("path", ["/pypi", "/simple/", "/lists/requirements.txt"])
def test_an_answer_that_trickles_leaves_the_planner_time_to_send_what_is_planned(
    world: World, path: str
) -> None:
    world.index.upload(wheel("one", "1.0"))
    queue, plan = JobQueue(world.queue_url), world.dry_run()
    late = time.monotonic() - 1
    world.run(lambda mirror: start_runs(plan, mirror, queue, deadline=late))
    assert not [*world.jobs()]
    if "lists" in path:
        world.configure(
            sections="[plugins]\nenabled = project_locks\n"
            f"[locks]\nfiles = {world.upstream.url}{path}\n"
        )
    world.clock.advance(25 * 3600)
    world.upstream.faults.add(Fault(Slow(delay=60), path))

    began = time.monotonic()
    with pytest.raises(TooSlow, match="has not answered"):
        world.run(
            lambda mirror: Planner(queue).plan_and_send(PlannerEvent(), mirror, deadline=began + 4)
        )

    assert time.monotonic() - began < 10
    assert [job.project for job in world.jobs()] == ["one"]
