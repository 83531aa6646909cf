"""The roles allow what the functions do, and the functions do what the roles allow."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from frumious.model.snapshots import SNAPSHOTS, Snapshot, Snapshots
from frumious.state.objects import render
from localcloud import LocalCloud, Runtime
from localcloud.environment import CHECKOUT
from localcloud.stack import ACCOUNT, REGION
from localcloud.stack_reader import StackReader
from tests.localcloud.test_roles import (
    CREDENTIALS,
    FUNCTIONS,
    assuming_roles,
    configuration,
    policies_of,
)
from tests.upstream import Fault, Status, wheel
from tests.upstream.osv import ARCHIVE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from tests.upstream import Index, Server

BUCKET = "arn:aws:s3:::frumious-local-mirrorbucket"
PARAMETERS = {"ConfigUri": "s3://settings/mirror.conf", "ListObjects": "s3://settings/locks/*"}
SECTIONS = (
    "[locks]\nfiles = s3://settings/locks/team.txt\n[changes]\nname = mirror.example\n"
    "[closure]\nclosure = true\n"
)

# What the test does not cause, and why a function needs it all the same: by function, action and
# resource (a pattern).
NOT_RECORDED = {
    ("*", "logs:*", "*"): "Lambda itself writes the logs",
    ("*", "s3:ListBucket", "*"): "S3 answers 404 for a missing key, and 403 without it",
    ("PlannerFunction", "s3:GetObject", f"{BUCKET}/web/status.json"): "read once in some hours",
    (
        "PlannerFunction",
        "s3:DeleteObject",
        f"{BUCKET}/state/advisories/*",
    ): "of the feed before last",
    ("WorkerFunction", "s3:GetObject", f"{BUCKET}/web/pypi/*"): "after a kill, of releases' JSON",
    ("WorkerFunction", "s3:AbortMultipartUpload", f"{BUCKET}/web/packages/*"): "above 5 GB",
    ("WorkerFunction", "s3:AbortMultipartUpload", f"{BUCKET}/web/simple-all/packages/*"): "as well",
    ("WorkerFunction", "s3:DeleteObject", f"{BUCKET}/state/simple/*"): "after HTML alone",
    ("WorkerFunction", "s3:DeleteObject", f"{BUCKET}/state/simple-all/*"): "with [attestations]",
    ("WorkerFunction", "s3:PutObject", f"{BUCKET}/state/damaged/*"): "of what cannot be read",
    ("FinalizerFunction", "s3:DeleteObject", f"{BUCKET}/state/simple/*"): "after HTML alone",
    ("FinalizerFunction", "s3:DeleteObject", f"{BUCKET}/web/changes/*"): "of each 256 changes",
    ("AuditorFunction", "s3:PutObject", f"{BUCKET}/state/damaged/*"): "of what cannot be read",
    ("WorkerFunction", "sqs:SendMessage", "*"): "if the time of a job runs short",
}


class Call(NamedTuple):
    """An action on a resource, with the permissions of a function."""

    function: str
    action: str
    resource: str


def recorded_calls(recording: Path, cloud: LocalCloud) -> set[Call]:
    """Return what the functions asked of moto's server, by their access keys."""
    keys = {cloud._functions[id_]._runtime.environment[CREDENTIALS[0]]: id_ for id_ in FUNCTIONS}
    keys[access_key_of_queue_source(cloud)] = "WorkerFunction"
    calls: set[Call] = set()
    for line in recording.read_text().splitlines():
        request = json.loads(line)
        headers = {name.lower(): value for name, value in request["headers"].items()}
        match = re.search(r"Credential=(\w+)/", headers.get("authorization", ""))
        if match is not None and match[1] in keys:
            body = base64.b64decode(request["body"] or "").decode(errors="replace")
            target = headers.get("x-amz-target", "")
            for action, resource in api_call(target, body) if target else s3_calls(request, body):
                calls.add(Call(keys[match[1]], action, resource))
    return calls


def access_key_of_queue_source(cloud: LocalCloud) -> str:
    credentials = cloud.sqs._request_signer._credentials  # type: ignore[attr-defined]
    return str(credentials.access_key)


def api_call(target: str, body: str) -> Iterator[tuple[str, str]]:
    """Yield the action of a JSON call; batches need the permission for one message."""
    name = target.rpartition(".")[2].removesuffix("Batch")
    if target.startswith("AWSEvents"):
        for entry in json.loads(body)["Entries"]:
            bus = entry["EventBusName"]
            yield f"events:{name}", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"
    else:
        queue = json.loads(body)["QueueUrl"].rpartition("/")[2]
        yield f"sqs:{name}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"


def s3_calls(request: dict[str, Any], body: str) -> Iterator[tuple[str, str]]:
    """Yield the actions of a call to S3 with the bucket in its path."""
    url = urlsplit(request["url"])
    arn = f"arn:aws:s3:::{unquote(url.path).strip('/')}"
    query = parse_qs(url.query, keep_blank_values=True)
    match request["method"]:
        case "GET" | "HEAD":
            yield ("s3:GetObject" if "/" in arn else "s3:ListBucket"), arn
        case "PUT":
            yield "s3:PutObject", arn
        case "POST" if "delete" in query:
            for key in re.findall(r"<Key>(.*?)</Key>", body):
                yield "s3:DeleteObject", f"{arn}/{key}"
        case "POST":
            yield "s3:PutObject", arn
        case "DELETE":
            yield ("s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"), arn


def allowed(**parameters: str) -> set[Call]:
    """Return what the template's roles allow, with patterns as resources."""
    reading = StackReader(CHECKOUT / "template.yaml", "http://aws.test", parameters)
    result: set[Call] = set()
    for function in FUNCTIONS:
        role_id = reading.resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]
        for policy in policies_of(role_id, reading):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions, resources = (
                    value if isinstance(value, list) else [value]
                    for value in (statement["Action"], statement["Resource"])
                )
                result |= {Call(function, a, r) for a in actions for r in resources}
    return result


def covers(pattern: tuple[str, ...], call: Call) -> bool:
    return all(fnmatchcase(value, rule) for value, rule in zip(call, pattern, strict=True))


def go_round(cloud: LocalCloud, **event: Any) -> None:
    cloud.invoke("PlannerFunction", event)
    cloud.pump()
    cloud.tick("FinalizerFunction")


def look_for_deletions(cloud: LocalCloud) -> None:
    """Let the planner's next tick look for files that are due, as it does once an hour."""
    stored = cloud.s3.get_object(Bucket=cloud.bucket, Key="state/cursor.json")["Body"].read()
    cursor = json.dumps({**json.loads(stored), "deletions": 0.0}).encode()
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/cursor.json", Body=cursor)


def deliver_again(cloud: LocalCloud, project: str) -> None:
    """Deliver a job for the second time, as after a crash: the worker looks for its files."""
    event = json.loads((CHECKOUT / "events/worker.json").read_text())
    record = event["Records"][0]
    record["body"] = json.dumps({"run": "run-1", "project": project, "serial": 0})
    record["attributes"]["ApproximateReceiveCount"] = "2"
    cloud.invoke("WorkerFunction", event)


def test_the_roles_allow_what_the_functions_do_and_nothing_else(
    upstream: Server, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = tmp_path / "recording"
    monkeypatch.setenv("MOTO_ENABLE_RECORDING", "1")
    monkeypatch.setenv("MOTO_RECORDER_FILEPATH", str(recording))
    with assuming_roles(Runtime(), **PARAMETERS) as cloud:
        cloud.s3.create_bucket(Bucket="settings")
        cloud.s3.put_object(Bucket="settings", Key="locks/team.txt", Body=b"sampleproject")

        def configure(options: str, sections: str = "") -> None:
            enabled = "    allowlist_project\n"
            text = configuration(upstream, options) + SECTIONS + sections
            text = text.replace(enabled, f"{enabled}    project_locks\n")
            cloud.s3.put_object(Bucket="settings", Key="mirror.conf", Body=text.encode())

        index.osv.add("MAL-2026-1", "gone")
        configure(
            f"json = true\nroot-index-shards = 16\n[advisories]\nfeed = {upstream.url}{ARCHIVE}\n"
        )
        index.upload(wheel("sampleproject", "1.0"), provenance={"version": 1})
        index.upload(wheel("sampleproject", "2.0"))
        go_round(cloud)
        cloud.tick("AuditorFunction")
        snapshots = Snapshots(snapshots={"monday": Snapshot(created=0.0, fixed=0.0, serial=0)})
        cloud.s3.put_object(Bucket=cloud.bucket, Key=SNAPSHOTS, Body=render(snapshots))
        index.remove_release("sampleproject", "1.0")
        go_round(cloud, force_check=True)
        cooldown = "[cooldown]\ndays = 7\nsimple-all = true\n"
        configure("json = true\nsimple-format = JSON\ndelete-after = 0\n", cooldown)
        look_for_deletions(cloud)
        index.upload(wheel("sampleproject", "3.0"), provenance={"version": 1})
        now = datetime.now(UTC)
        index.upload(wheel("sampleproject", "3.1"), upload_time=now, provenance={"version": 1})
        deliver_again(cloud, "sampleproject")
        go_round(cloud)
        index.remove_project("sampleproject")
        go_round(cloud, confirm_removals=1)
        index.upload(wheel("sampleproject", "4.0"))
        upstream.faults.add(Fault(Status(503), "/simple/sampleproject/"))
        go_round(cloud)
        calls = recorded_calls(recording, cloud)

    permissions = allowed(**PARAMETERS)
    forbidden = {call for call in calls if not any(covers(p, call) for p in permissions)}
    assert forbidden == set()
    unused = {
        permission
        for permission in permissions
        if not any(covers(permission, call) for call in calls)
        and not any(covers(pattern, permission) for pattern in NOT_RECORDED)
    }
    assert not unused, "\n".join(" ".join(call) for call in sorted(unused))
