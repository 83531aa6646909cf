"""The auditor: audits begin in time, go on from tick to tick, and raise alarms."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localcloud.alarms import State
from tests.upstream import wheel

if TYPE_CHECKING:
    from localcloud import LocalCloud
    from tests.upstream import Index

HOUR = 3600
DAY = 24 * HOUR


def fill(cloud: LocalCloud, index: Index, *names: str) -> None:
    for name in names:
        index.upload(wheel(name, "1.0"))
    cloud.tick("PlannerFunction")
    cloud.pump()
    cloud.tick("FinalizerFunction")


def read(cloud: LocalCloud, key: str) -> Any:
    return json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())


def age_audit(cloud: LocalCloud, days: float) -> None:
    """Let the last audit have begun longer ago."""
    audit = read(cloud, "state/audit.json")
    audit["began"] -= days * DAY
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/audit.json", Body=json.dumps(audit))


def alarm(cloud: LocalCloud, name: str) -> State:
    return cloud.alarm_states()[name]


def test_an_audit_begins_every_seven_days(cloud: LocalCloud, index: Index) -> None:
    fill(cloud, index, "one", "two")

    first = cloud.tick("AuditorFunction")
    assert (first["phase"], first["projects"], first["found"]) == ("done", 2, {})
    audit = read(cloud, "web/status.json")["audit"]
    assert (audit["projects"], audit["found"], audit["left"]) == (2, {}, {})

    assert cloud.tick("AuditorFunction")["began"] == first["began"]
    age_audit(cloud, 6.9)
    assert "found" not in cloud.tick("AuditorFunction")
    age_audit(cloud, 0.2)
    assert cloud.tick("AuditorFunction")["began"] > first["began"]


def test_damage_raises_an_alarm_until_an_audit_finds_none(cloud: LocalCloud, index: Index) -> None:
    fill(cloud, index, "one", "two")
    cloud.tick("AuditorFunction")
    assert alarm(cloud, "DamageAlarm") is State.OK
    key = index.files_named("one-1.0-py3-none-any.whl")[0].path
    body = cloud.s3.get_object(Bucket=cloud.bucket, Key=f"web{key}")["Body"].read()
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=f"web{key}")
    cloud.metrics.advance(HOUR)

    found = cloud.invoke("AuditorFunction", {"restart": True})["found"]

    assert found == {"missing-file": 1}
    assert alarm(cloud, "DamageAlarm") is State.ALARM
    cloud.metrics.advance(DAY)
    cloud.tick("AuditorFunction")
    assert alarm(cloud, "DamageAlarm") is State.ALARM
    cloud.s3.put_object(Bucket=cloud.bucket, Key=f"web{key}", Body=body)
    cloud.metrics.advance(HOUR)
    cloud.invoke("AuditorFunction", {"restart": True})
    assert alarm(cloud, "DamageAlarm") is State.OK


def test_an_audit_goes_on_from_tick_to_tick(cloud: LocalCloud, index: Index) -> None:
    fill(cloud, index, *(f"project-{number}" for number in range(5)))
    function = cloud._functions["AuditorFunction"]
    patient = function.settings
    function.settings = replace(patient, timeout=15)  # all of it is kept for finishing
    ticks = [cloud.tick("AuditorFunction") for _ in range(2)]

    assert [tick["phase"] for tick in ticks] == ["pages", "files"]
    assert alarm(cloud, "AuditOverdueAlarm") is not State.ALARM
    age_audit(cloud, 15)
    cloud.stop_functions()
    assert cloud.tick("AuditorFunction")["phase"] == "files"
    assert alarm(cloud, "AuditOverdueAlarm") is State.ALARM

    cloud.stop_functions()
    function.settings = patient
    cloud.metrics.advance(HOUR)
    finished = cloud.tick("AuditorFunction")
    assert (finished["phase"], finished["projects"], finished["found"]) == ("done", 5, {})
    assert alarm(cloud, "AuditOverdueAlarm") is State.OK


def test_a_deep_audit_of_a_person_is_left_alone(cloud: LocalCloud, index: Index) -> None:
    fill(cloud, index, "one")
    now = time.time()
    audit = {"version": 1, "began": now, "deep": True, "sample": 1.0, "after": "one"}
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/audit.json", Body=json.dumps(audit))

    assert cloud.tick("AuditorFunction")["began"] == now
    assert read(cloud, "state/audit.json") == audit

    age_audit(cloud, 8)
    assert cloud.tick("AuditorFunction")["phase"] == "done"


def test_an_audit_that_began_while_the_clock_was_ahead_puts_none_off(
    cloud: LocalCloud, index: Index
) -> None:
    fill(cloud, index, "one")
    first = cloud.tick("AuditorFunction")
    age_audit(cloud, -10 * 365)

    assert cloud.tick("AuditorFunction")["began"] >= first["began"]
    assert read(cloud, "state/audit.json")["began"] < time.time() + HOUR
    assert "found" not in cloud.tick("AuditorFunction"), "the next one is due in seven days"
