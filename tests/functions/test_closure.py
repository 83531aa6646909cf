"""What a listed project needs reaches the mirror by the functions alone, and installers find it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localcloud import LocalCloud
from localcloud.alarms import State
from tests.functions.conftest import make_runtime
from tests.functions.test_end_to_end import run
from tests.installers import PIP, UV, install
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.upstream import Index, Server

SECTIONS = (
    "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = demo[fast]\n"
    "[closure]\nclosure = true\nenvironments = 3.13 linux\n"
)


@pytest.fixture
def closed(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    runtime = make_runtime(tmp_path, upstream)
    runtime.config.write_text(runtime.config.read_text() + SECTIONS)
    with LocalCloud(runtime=runtime) as cloud:
        yield cloud


def test_ticks_find_what_is_needed_until_nothing_is_new(
    closed: LocalCloud, index: Index, tmp_path: Path
) -> None:
    index.upload(wheel("demo", "1.0", requires=["helper>=2", "quick; extra == 'fast'"]))
    index.upload(wheel("helper", "1.0"))
    index.upload(wheel("helper", "2.0", requires=["deep", "win; sys_platform == 'win32'"]))
    for name in ("quick", "win", "other"):
        index.upload(wheel(name, "1.0"))
    index.upload(wheel("deep", "1.0", requires=["demo"]))
    found = [{*run(closed)["projects"]} for _ in range(4)]
    assert found == [{"demo"}, {"helper", "quick"}, {"deep"}, set()]

    for installer, name in ((PIP, "pip"), (UV, "uv")):
        done = install(installer, closed.url, tmp_path / name, "demo[fast]")
        assert done.returncode == 0, done.stderr
        installed = {path.name for path in (tmp_path / name).glob("*.dist-info")}
        releases = ("demo-1.0", "helper-2.0", "quick-1.0", "deep-1.0")
        assert installed == {f"{each}.dist-info" for each in releases}

    index.upload(wheel("demo", "2.0", requires=["other"]))
    run(closed)
    run(closed)
    assert install(PIP, closed.url, tmp_path / "new", "demo").returncode == 0
    assert (tmp_path / "new/other").is_dir()
    status = json.loads(
        closed.s3.get_object(Bucket=closed.bucket, Key="web/status.json")["Body"].read()
    )
    assert status["closure"] == {"needed": 4, "left_out": 0, "problems": 0}


def test_projects_beyond_the_limit_are_an_alarm(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    index.upload(wheel("demo", "1.0", requires=["helper", "other"]))
    for name in ("helper", "other"):
        index.upload(wheel(name, "1.0"))
    runtime = make_runtime(tmp_path, upstream)
    config = runtime.config.read_text()
    runtime.config.write_text(config + SECTIONS + "closure-max-projects = 1\n")
    with LocalCloud(runtime=runtime) as cloud:
        run(cloud)
        assert cloud.alarm_states()["InputAlarm"] is State.OK
        run(cloud)
        assert cloud.alarm_states()["InputAlarm"] is State.ALARM
        assert any("closure-max-projects = 1 is reached" in line.text for line in cloud.logs.lines)
        cloud.tick("PlannerFunction")
        assert cloud.alarm_states()["InputAlarm"] is State.ALARM, "as long as it is so"

        runtime.config.write_text(config + SECTIONS + "closure-max-projects = 2\n")
        cloud.stop_functions()
        cloud.metrics.advance(5 * 60)
        run(cloud)
        assert cloud.alarm_states()["InputAlarm"] is State.OK
