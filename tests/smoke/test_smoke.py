"""The checks of `make smoke` on the local stack, and its deletion on moto."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from localcloud import LocalCloud, Runtime
from tests.upstream import Index, Server, wheel

from .account import Account
from .checks import DeployedMirror, SmokeError, check_mirror

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = "frumious-smoke-0"
RETAINED_BUCKET = {
    "Resources": {
        "MirrorBucket": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "RetainExceptOnCreate",
            "Properties": {"BucketName": "mirror"},
        },
        "JobQueue": {"Type": "AWS::SQS::Queue"},
    },
}


@contextmanager
def running(cloud: LocalCloud) -> Iterator[None]:
    """Invoke the functions one after the other, more often than their schedules do."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            cloud.tick("PlannerFunction")
            cloud.pump(give_up=stop.is_set)
            cloud.tick("FinalizerFunction")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def cloud(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    config = tmp_path / "mirror.conf"
    config.write_text(
        "[mirror]\ndirectory = /frumious\nstorage-backend = s3\nallow-non-https = true\n"
        f"master = {upstream.url}\n[plugins]\nenabled = allowlist_project\n"
        "[allowlist]\npackages = demo\n"
    )
    with LocalCloud(runtime=Runtime(config=config)) as cloud:
        yield cloud


def test_a_stack_that_mirrors_and_serves_passes(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("demo", "1.0"))
    lines: list[str] = []
    mirror = DeployedMirror(cloud.url, alarm_states=lambda: {"lag": "OK", "new": "INSUFFICIENT"})
    with running(cloud):
        check_mirror(mirror, "demo", seconds=60, pause=0.2, report=lines.append)
    assert lines == [
        "demo is mirrored: yes",
        "status.json says that nothing is missing: yes",
        "pip installs demo 1.0: yes",
        "no alarm is on: yes",
    ]


def test_a_failed_check_says_what_it_found(cloud: LocalCloud, index: Index) -> None:
    def check(states: dict[str, str], seconds: float) -> str:
        mirror = DeployedMirror(cloud.url, alarm_states=lambda: states)
        with pytest.raises(SmokeError) as failure:
            check_mirror(mirror, "demo", seconds=seconds, pause=0.2)
        return str(failure.value)

    assert check({}, 0).startswith("demo is mirrored: not within 0 s: http://")
    index.upload(wheel("demo", "1.0"))
    with running(cloud):
        check_mirror(DeployedMirror(cloud.url, alarm_states=dict), "demo", seconds=60, pause=0.2)
    problem = check({"lag": "ALARM", "dead": "ALARM", "planner": "OK"}, 0)
    assert problem == "no alarm is on: not within 0 s: dead, lag"


@mock_aws
def test_nothing_of_a_deleted_stack_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    session = boto3.Session(region_name="eu-central-1")
    cloudformation: Any = session.client("cloudformation")
    s3: Any = session.client("s3")
    location = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket=f"{STACK}-artifacts", CreateBucketConfiguration=location)
    s3.create_bucket(Bucket="someone-elses", CreateBucketConfiguration=location)
    for stack in (STACK, "another"):
        template = json.dumps(RETAINED_BUCKET).replace('"mirror"', f'"mirror-of-{stack}"')
        cloudformation.create_stack(StackName=stack, TemplateBody=template)
        bucket = f"mirror-of-{stack}"
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"old", b"new"):
            s3.put_object(Bucket=bucket, Key="web/status.json", Body=body)
        s3.delete_object(Bucket=bucket, Key="web/status.json")

    Account("eu-central-1").delete(STACK)

    buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert buckets >= {"someone-elses", "mirror-of-another"}
    assert not buckets & {f"mirror-of-{STACK}", f"{STACK}-artifacts"}
    stacks = {stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]}
    assert "another" in stacks
    assert STACK not in stacks
    Account("eu-central-1").delete(STACK)  # as after a deployment that SAM undid
