"""A batch that cannot begin is redelivered soon, before the queue's visibility timeout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localcloud import LocalCloud
from tests.functions.conftest import make_runtime
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.upstream import Index, Server

BOOTSTRAP = Path(__file__).with_name("bootstrap")


@pytest.fixture
def cloud(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    runtime = make_runtime(tmp_path, upstream)
    runtime = replace(runtime, python_path=(*runtime.python_path, BOOTSTRAP))
    with LocalCloud(runtime=runtime, on_line=lambda _: None) as cloud:
        worker = cloud._functions["WorkerFunction"]
        worker.settings = replace(worker.settings, handler="impatient_worker.handler")
        yield cloud


def test_a_batch_that_cannot_begin_is_redelivered_soon(cloud: LocalCloud, index: Index) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))
    cloud.invoke("PlannerFunction", {})
    cursor = cloud.s3.get_object(Bucket=cloud.bucket, Key="state/cursor.json")["Body"].read()
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/cursor.json", Body=b"{")

    returned = cloud.pump(environments=1)
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/cursor.json", Body=cursor)
    delivered = cloud.pump(environments=1, wait_seconds=10)

    assert (returned.succeeded, returned.remaining) == (0, 2)
    assert (delivered.succeeded, delivered.remaining) == (2, 0)
    errors = [line.fields for line in cloud.logs.lines if line.fields is not None]
    assert any("'state/cursor.json' is damaged" in str(line.get("error")) for line in errors)
