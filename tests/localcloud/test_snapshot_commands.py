"""`frumious snapshot` and `frumious rollback` on a stack: what installers get from the edge."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from frumious.model.snapshots import SNAPSHOTS
from localcloud.distribution import DistributionServer
from localcloud.environment import CHECKOUT
from localcloud.key_value_store import KeyValueStoreServer
from localcloud.metrics import Metrics
from localcloud.stack_reader import read_stack
from tests.clients import get
from tests.frumious.cli.test_cli import configured, frumious
from tests.installers import PIP, UV, install
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.world import World


class Stack:
    """A mirror in a bucket, the store of its edge function, and the command."""

    def __init__(self, world: World, conf: str, store: KeyValueStoreServer) -> None:
        self.world = world
        self.store = store
        self._conf = conf
        template = read_stack(
            CHECKOUT / "template.yaml",
            endpoint=world.s3.meta.endpoint_url,
            parameters={"Snapshots": "true"},
        )
        distribution = replace(template.distribution, bucket=world.bucket)
        self._edge = DistributionServer(distribution, world.s3, Metrics(), store.values)
        self.url = self._edge.url

    def close(self) -> None:
        self._edge.stop()

    def run(self, *arguments: str, status: int = 0) -> str:
        done = frumious("-c", self._conf, *arguments)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def wait_until_fixed(self) -> None:
        """Pretend that the snapshots were made an hour ago."""
        known = json.loads(self.world.read(SNAPSHOTS))
        for snapshot in known["snapshots"].values():
            snapshot["created"] -= 3600
            snapshot["fixed"] -= 3600
        body = json.dumps(known).encode()
        self.world.s3.put_object(Bucket=self.world.bucket, Key=SNAPSHOTS, Body=body)


@pytest.fixture
def stack(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    store = KeyValueStoreServer()
    for name in ("AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE", "FRUMIOUS_SNAPSHOT_STORE"):
        monkeypatch.setenv(name, store.environment[name])
    monkeypatch.setenv("HTTP_PROXY", store.environment["HTTP_PROXY"])
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # all but the store
    stack = Stack(world, configured(world, tmp_path), store)
    yield stack
    stack.close()
    store.stop()


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_installers_get_the_snapshot_and_after_a_rollback_everybody_does(
    stack: Stack, installer: tuple[str, ...], tmp_path: Path
) -> None:
    world = stack.world

    def installed(prefix: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        done = install(installer, f"{stack.url}{prefix}", folder, "demo", "same")
        assert done.returncode == 0, done.stderr
        assert (folder / "same/__init__.py").exists()
        return (folder / "demo/__init__.py").read_text().split('"')[1]

    for dist in (wheel("demo", "1.0"), wheel("same", "1.0")):
        world.index.upload(dist)
    world.mirror_run()
    stack.run("snapshot", "create", "before")
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    assert (installed("/snapshot/before"), installed("")) == ("1.0", "2.0")

    assert "may change until" in stack.run("rollback", "before", status=1)
    assert installed("") == "2.0"
    stack.wait_until_fixed()
    stack.run("rollback", "before")
    assert (installed("/snapshot/before"), installed("")) == ("1.0", "1.0")
    assert "--live" in stack.run("snapshot", "delete", "before", status=1)

    stack.run("rollback", "--live")
    assert installed("") == "2.0"
    stack.run("snapshot", "delete", "before")
    assert stack.store.values == {}
    assert get(f"{stack.url}/snapshot/before/simple/demo/").status == 404


def test_without_the_store_the_command_says_what_is_missing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRUMIOUS_SNAPSHOT_STORE")
    stack.world.index.upload(wheel("demo", "1.0"))
    stack.world.mirror_run()
    assert "does, with --store ARN" in stack.run("snapshot", "create", "before")
    stack.wait_until_fixed()
    assert "output SnapshotStore: pass --store ARN" in stack.run("rollback", "before", status=1)
    assert json.loads(stack.world.read(SNAPSHOTS)).get("served") is None
    assert get(f"{stack.url}/snapshot/before/simple/demo/").status == 404


def test_a_list_that_was_made_again_learns_from_the_store_what_readers_get(stack: Stack) -> None:
    stack.world.index.upload(wheel("demo", "1.0"))
    stack.world.mirror_run()
    stack.run("snapshot", "create", "before")
    stack.wait_until_fixed()
    stack.run("rollback", "before")
    stack.world.s3.put_object(Bucket=stack.world.bucket, Key=SNAPSHOTS, Body=b"{")
    stack.run("doctor", "--repair")
    assert "--live" in stack.run("snapshot", "delete", "before", status=1)
    known = json.loads(stack.world.read(SNAPSHOTS))
    assert (known["served"], "key-value-store" in known["store"]) == ("before", True)
    assert "no longer before" in stack.run("rollback", "--live")


def test_the_mirror_remembers_the_store(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.world.index.upload(wheel("demo", "1.0"))
    stack.world.mirror_run()
    stack.run("snapshot", "create", "before")
    monkeypatch.delenv("FRUMIOUS_SNAPSHOT_STORE")
    assert "readers get it below" in stack.run("snapshot", "create", "after")
    assert sorted(stack.store.values) == ["snapshot:after", "snapshot:before"]
    stack.run("snapshot", "delete", "before")
    assert get(f"{stack.url}/snapshot/before/simple/demo/").status == 404
    assert get(f"{stack.url}/snapshot/after/simple/demo/").status == 200
