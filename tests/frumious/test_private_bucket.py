"""Private wheels in a bucket, read by the functions of a stack."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from frumious.model.plans import Reason
from tests.clients import served
from tests.installers import PIP, UV, install
from tests.upstream import Fault, Status, wheel
from tests.world import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.upstream import Index, Server
    from tests.upstream.dist import Dist
    from tests.world import World


class PrivateBucket:
    """A bucket of its own, whose prefix `wheels/` is private."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = f"private-{uuid.uuid4()}"
        self.exists = True
        world.s3.create_bucket(
            Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        world.s3.put_object(Bucket=self.name, Key="secret/acme_other-1.0.whl", Body=b"")
        world.configure(sections=f"[private]\ndirectory = s3://{self.name}/wheels\n")

    def delete(self) -> None:
        self.world.s3.delete_object(Bucket=self.name, Key="secret/acme_other-1.0.whl")
        self.world.s3.delete_bucket(Bucket=self.name)
        self.exists = False

    def put(self, dist: Dist) -> None:
        self.world.s3.put_object(Bucket=self.name, Key=f"wheels/{dist.filename}", Body=dist.content)

    def remove(self, dist: Dist) -> None:
        self.world.s3.delete_object(Bucket=self.name, Key=f"wheels/{dist.filename}")


@pytest.fixture
def private(world: World) -> Iterator[PrivateBucket]:
    yield PrivateBucket(world)
    world.close()


def files(world: World, project: str) -> list[str]:
    return [file["filename"] for file in world.page(project)["files"]]


def test_a_wheel_in_the_bucket_is_published_and_follows_the_bucket(
    world: World, private: PrivateBucket, index: Index, upstream: Server
) -> None:
    index.upload(wheel("six", "1.0"))
    index.upload(wheel("acme-lib", "9.0"))
    first, second = wheel("acme-lib", "1.0"), wheel("acme-lib", "2.0")
    private.put(first)
    finished = world.mirror_run()
    assert finished.lagging == 0
    assert files(world, "acme-lib") == [first.filename]
    assert {*world.files().values()} >= {first.content, first.core_metadata}

    private.put(second)
    private.remove(first)
    world.mirror_run()
    assert files(world, "acme-lib") == [second.filename]
    assert files(world, "six") == [wheel("six", "1.0").filename]
    assert not any("acme" in request.target for request in upstream.requests)


def test_a_tick_lists_the_bucket_once_and_reads_nothing_that_has_not_changed(
    world: World, private: PrivateBucket
) -> None:
    for number in range(5):
        private.put(wheel("acme-lib", f"1.{number}"))
    world.mirror_run()
    requests: list[str] = []
    client = world.run(_client)
    client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request.url))
    assert world.dry_run().jobs == {}
    assert len(requests) == 1
    assert "list-type=2" in requests[0]
    requests.clear()
    private.put(wheel("acme-lib", "1.5"))
    world.mirror_run()
    reads = [url for url in requests if ".whl" in url]
    assert {url.rpartition("/")[2] for url in reads} == {wheel("acme-lib", "1.5").filename}
    assert len(files(world, "acme-lib")) == 6


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_installers_take_a_private_wheel_with_a_mirrored_dependency(
    world: World,
    private: PrivateBucket,
    index: Index,
    tmp_path: Path,
    installer: tuple[str, ...],
) -> None:
    index.upload(wheel("six", "1.0"))
    index.upload(wheel("acme-lib", "9.0"))  # of somebody who registered the name
    private.put(wheel("acme-lib", "1.0", requires=["six"]))
    world.mirror_run()
    with served(world) as url:
        done = install(installer, url, tmp_path / "installed", "acme-lib")
    assert done.returncode == 0, done.stderr
    version = (tmp_path / "installed/acme_lib/__init__.py").read_text()
    assert version == '__version__ = "1.0"\n'
    assert (tmp_path / "installed/six/__init__.py").exists()


def test_a_project_that_lags_behind_upstream_lags_no_more_once_it_is_private(
    world: World, private: PrivateBucket, index: Index, upstream: Server
) -> None:
    private.put(wheel("acme-tool", "1.0"))
    index.upload(wheel("acme-lib", "9.0"))
    upstream.faults.add(Fault(Status(403), match="/simple/acme-lib/"))
    assert world.mirror_run().lagging == 1
    upstream.clear()
    private.put(wheel("acme-lib", "1.0"))
    assert world.mirror_run().lagging == 0
    assert files(world, "acme-lib") == [wheel("acme-lib", "1.0").filename]
    assert not any("acme" in request.target for request in upstream.requests)


async def _client(mirror):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return mirror.private._storage._bucket.client


def test_a_bucket_that_refuses_is_an_outage(
    world: World, private: PrivateBucket, index: Index
) -> None:
    dist = wheel("acme-lib", "1.0")
    private.put(dist)
    world.mirror_run()
    private.remove(dist)
    index.upload(wheel("acme-lib", "9.0"))
    for _ in range(2):  # without a file, and then without the bucket
        plan = world.dry_run()
        assert any(private.name in problem for problem in plan.problems)
        world.mirror_run()
        assert files(world, "acme-lib") == [dist.filename]
        if private.exists:
            private.delete()


def test_a_job_of_an_earlier_run_does_not_ask_for_a_name_that_is_private_since(
    world: World, private: PrivateBucket, index: Index, upstream: Server
) -> None:
    private.put(wheel("acme-tool", "1.0"))
    world.mirror_run()
    index.upload(wheel("acme-lib", "9.0"))
    world.plan()  # its job waits in the queue
    ours = wheel("acme-lib", "1.0")
    private.put(ours)
    assert world.dry_run().reasons == {"acme-lib": Reason.PRIVATE}
    world.plan()
    upstream.clear()
    world.work()
    world.finalize()
    assert files(world, "acme-lib") == [ours.filename]
    assert not any("acme" in request.target for request in upstream.requests)
