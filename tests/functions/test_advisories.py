"""Advisories on the stack: what is blocked leaves, subscribers hear of it, and failures alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud import LocalCloud
from localcloud.alarms import State
from tests.functions.conftest import make_runtime
from tests.functions.test_events import received, subscribe
from tests.upstream import wheel
from tests.upstream.osv import ARCHIVE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server


def go_round(cloud: LocalCloud) -> None:
    cloud.tick("PlannerFunction")
    cloud.pump(environments=1)
    cloud.tick("FinalizerFunction")


def look_at_the_feed(cloud: LocalCloud) -> None:
    """Let the planner's next tick look at the feed, as it does once an hour."""
    key = "state/cursor.json"
    cursor = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    cursor["advisories"]["asked"] = 0.0
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=json.dumps(cursor))
    cloud.stop_functions()  # a warm planner knows when it looked last


def keys(cloud: LocalCloud, prefix: str) -> list[str]:
    listing = cloud.s3.list_objects_v2(Bucket=cloud.bucket, Prefix=prefix)
    return [entry["Key"] for entry in listing.get("Contents", ())]


def test_malware_leaves_the_stack_and_a_broken_feed_is_an_alarm(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    runtime = make_runtime(tmp_path, upstream)
    section = f"\n[advisories]\nfeed = {upstream.url}{ARCHIVE}\n"
    runtime.config.write_text(runtime.config.read_text() + section)
    for name in ("demo", "evil", "other"):
        index.upload(wheel(name, "1.0"))
        index.upload(wheel(name, "2.0"))
    index.osv.add("MAL-2020-1", "gone")
    with LocalCloud(runtime=runtime) as cloud:
        url = subscribe(cloud)
        go_round(cloud)
        received(cloud, url)

        index.osv.add("MAL-2026-1", "evil")
        index.osv.add("MAL-2026-2", "demo", "2.0")
        look_at_the_feed(cloud)
        go_round(cloud)

        assert not keys(cloud, "web/simple/evil/")
        assert not [key for key in keys(cloud, "web/packages/") if "/evil-" in key]
        events = received(cloud, url)
        assert events["Project blocked", "evil"]["advisories"] == ["MAL-2026-1"]
        assert events["Project blocked", "demo"]["advisories"] == ["MAL-2026-2"]
        assert events["Project blocked", "demo"]["files_removed"] == 1
        assert cloud.alarm_states()["InputAlarm"] is State.OK

        index.osv.raw = b"<html>"
        look_at_the_feed(cloud)
        go_round(cloud)
        assert cloud.alarm_states()["InputAlarm"] is State.ALARM
        body = cloud.s3.get_object(Bucket=cloud.bucket, Key="web/status.json")["Body"].read()
        status = json.loads(body)["advisories"]
        assert status["problem"] == "the feed of advisories is broken"
        assert (status["malware"], status["projects"]) == (3, 3)

        cloud.metrics.advance(300)
        index.osv.raw = None
        look_at_the_feed(cloud)
        go_round(cloud)
        assert cloud.alarm_states()["InputAlarm"] is State.OK
        assert not keys(cloud, "web/simple/evil/")
