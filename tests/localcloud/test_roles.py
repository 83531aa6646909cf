"""The template's roles allow the functions what they do; moto's IAM enforces them."""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud import LocalCloud, Runtime
from localcloud.environment import CHECKOUT
from localcloud.stack import ACCOUNT, REGION
from localcloud.stack_reader import StackReader
from tests.sigstore import Sigstore
from tests.upstream import Index, Server, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
OLD_RUN = "20200101T000000.000000-c0ffee-000"
FUNCTIONS = ("PlannerFunction", "WorkerFunction", "FinalizerFunction", "AuditorFunction")


@pytest.fixture
def guarded(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    config = tmp_path / "mirror.conf"
    config.write_text(configuration(upstream))
    with assuming_roles(Runtime(config=config)) as cloud:
        enforce_iam(cloud)
        yield cloud


def configuration(upstream: Server, options: str = "") -> str:
    text = (CHECKOUT / "mirror.conf").read_text()
    master = f"[mirror]\nmaster = {upstream.url}\nallow-non-https = true\n"
    return text.replace("[mirror]\n", f"{master}{options}", 1)


@contextmanager
def assuming_roles(runtime: Runtime, **parameters: str) -> Iterator[LocalCloud]:
    """Run a stack whose functions and queue have the credentials of the template's roles alone."""
    with LocalCloud(runtime=runtime, parameters=parameters) as cloud:
        for id_ in FUNCTIONS:
            credentials = assume_role_of(id_, cloud, **parameters)
            function = cloud._functions[id_]
            environment = {**function._runtime.environment, **credentials}
            function._runtime = replace(function._runtime, environment=environment)
        leave_things_behind(cloud)
        # An event source polls its queue with the role of its function.
        cloud.sqs = client("sqs", cloud, **assume_role_of("WorkerFunction", cloud, **parameters))
        yield cloud


def leave_things_behind(cloud: LocalCloud) -> None:
    """Let there be a run of long ago, a dead letter of it, and one that is no job."""
    cloud.s3.put_object(Bucket=cloud.bucket, Key=f"state/runs/{OLD_RUN}/plan.json", Body=b"{}")
    for body in (json.dumps({"run": OLD_RUN, "project": "six", "serial": 1}), "no job"):
        cloud.sqs.send_message(
            QueueUrl=cloud.stack.queues["DeadLetterQueue"].url,
            MessageBody=body,
            MessageGroupId=body[:1],
            MessageDeduplicationId=body[:1],
        )


def client(service: str, cloud: LocalCloud, **credentials: str) -> Any:
    session = boto3.Session(
        aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID", "nobody"),
        aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY", "nothing"),
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        region_name=REGION,
    )
    return session.client(service, endpoint_url=cloud.endpoint)  # type: ignore[call-overload]


def policies_of(role_id: str, reading: StackReader) -> list[dict[str, Any]]:
    """Return a role's own policies, and those that the template attaches to it."""
    policies = list(reading.resolver.resolve(reading.resources[role_id]["Properties"]["Policies"]))
    for resource in reading.resources.values():
        if resource["Type"] == "AWS::IAM::Policy":
            policy = reading.resolver.resolve(resource["Properties"])
            policies += [policy] if role_id in policy["Roles"] else []
    return policies


def assume_role_of(function: str, cloud: LocalCloud, **parameters: str) -> dict[str, str]:
    reading = StackReader(CHECKOUT / "template.yaml", cloud.endpoint, parameters)
    role_id = reading.resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    role = reading.resolver.resolve(reading.resources[role_id]["Properties"])
    iam = client("iam", cloud)
    if role_id not in {known["RoleName"] for known in iam.list_roles()["Roles"]}:
        trust = json.dumps(role["AssumeRolePolicyDocument"])
        iam.create_role(RoleName=role_id, AssumeRolePolicyDocument=trust)
        for policy in policies_of(role_id, reading):
            document = json.dumps(as_moto_asks(policy["PolicyDocument"], cloud))
            iam.put_role_policy(
                RoleName=role_id,
                PolicyName=policy["PolicyName"],
                PolicyDocument=document,
            )
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role_id}"
    answer = client("sts", cloud).assume_role(RoleArn=arn, RoleSessionName=function)
    return {
        "AWS_ACCESS_KEY_ID": answer["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["Credentials"]["SessionToken"],
    }


def as_moto_asks(document: dict[str, Any], cloud: LocalCloud) -> dict[str, Any]:
    """Add what moto asks for where AWS does not.

    AWS has one action for doing it to one message and to many, and asks for each key of a
    DeleteObjects; moto asks for the operation's own name, and for the bucket. For an event bus it
    asks for anything at all.
    """
    statements = list(document["Statement"])
    actions = json.dumps(statements)
    requested = {
        "s3:DeleteObject": ("s3:DeleteObject", f"arn:aws:s3:::{cloud.bucket}"),
        "sqs:SendMessage": ("sqs:SendMessageBatch", "*"),
        "sqs:DeleteMessage": ("sqs:DeleteMessageBatch", "*"),
        "sqs:ChangeMessageVisibility": ("sqs:ChangeMessageVisibilityBatch", "*"),
        "events:PutEvents": ("events:PutEvents", "*"),
    }
    statements += [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for allowed, (action, resource) in requested.items()
        if f'"{allowed}"' in actions
    ]
    return {**document, "Statement": statements}


def enforce_iam(cloud: LocalCloud) -> None:
    request = urllib.request.Request(  # noqa: S310
        f"{cloud.endpoint}/moto-api/reset-auth",
        data=b"0",
        headers={"Content-Type": "text/plain"},  # a form would be read as one
    )
    urllib.request.urlopen(request).close()  # noqa: S310


def advance(cloud: LocalCloud) -> dict[str, str]:
    """Let the schedules tick once; return what became of each project."""
    cloud.tick("PlannerFunction")
    cloud.pump()
    projects: dict[str, str] = cloud.tick("FinalizerFunction")["projects"]
    return projects


def test_planner_and_workers_read_private_files_and_nothing_else_of_their_bucket(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    index.upload(wheel("sampleproject", "1.0"))
    private = wheel("acme-lib", "1.0")
    config = tmp_path / "mirror.conf"
    section = "\n[private]\ndirectory = s3://company-wheels/pypi\n"
    config.write_text(configuration(upstream) + section)
    parameters = {"PrivateBucket": "company-wheels", "PrivatePrefix": "pypi/"}
    with assuming_roles(Runtime(config=config), **parameters) as cloud:
        cloud.s3.create_bucket(Bucket="company-wheels")
        for key in (f"pypi/{private.filename}", "payroll"):
            cloud.s3.put_object(Bucket="company-wheels", Key=key, Body=private.content)
        enforce_iam(cloud)
        assert advance(cloud) == {"acme-lib": "updated", "sampleproject": "updated"}
        for function in ("PlannerFunction", "WorkerFunction"):
            reader = s3_of(function, cloud)
            with pytest.raises(ClientError, match="AccessDenied"):
                reader.get_object(Bucket="company-wheels", Key="payroll")
            with pytest.raises(ClientError, match="AccessDenied"):
                reader.put_object(Bucket="company-wheels", Key="pypi/x", Body=b"")


def test_a_worker_reads_provenance_and_keeps_what_is_known_of_it(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    sigstore = Sigstore()
    (tmp_path / "trusted_root.json").write_bytes(sigstore.trust_root)
    config = tmp_path / "mirror.conf"
    config.write_text(configuration(upstream))
    for version in ("1.0", "2.0"):
        dist = sdist("sampleproject", version)
        provenance = json.loads(sigstore.provenance(dist.filename, dist.content))
        index.upload(dist, provenance=provenance)
    with assuming_roles(Runtime(config=config), VerifyAttestations="true") as cloud:
        enforce_iam(cloud)
        assert advance(cloud) == {"sampleproject": "updated"}
        section = "\n[attestations]\ntrust-root = trusted_root.json\nrequire = sampleproject\n"
        config.write_text(config.read_text() + section)
        cloud.stop_functions()
        assert advance(cloud) == {"sampleproject": "updated"}
        key = "state/attestations/sampleproject.json"
        body = s3_of("WorkerFunction", cloud).get_object(Bucket=cloud.bucket, Key=key)["Body"]
        files = json.loads(body.read())["files"].values()
        assert {each["publisher"] for each in files} == {"github.com/example/demo/release.yml"}


def test_an_audit_is_finished_with_the_auditor_s_role(guarded: LocalCloud, index: Index) -> None:
    index.upload(wheel("sampleproject", "1.0"))
    advance(guarded)
    name = "web/simple/sampleproject/index.html"
    s3_of("WorkerFunction", guarded).delete_object(Bucket=guarded.bucket, Key=name)

    audited = guarded.tick("AuditorFunction")

    assert (audited["phase"], audited["found"]) == ("done", {"missing-page": 1})
    with pytest.raises(ClientError, match="AccessDenied"):
        s3_of("AuditorFunction", guarded).put_object(Bucket=guarded.bucket, Key=name, Body=b"")


def s3_of(function: str, cloud: LocalCloud) -> Any:
    """Return a client with the credentials that the function has."""
    environment = cloud._functions[function]._runtime.environment
    credentials = {name: value for name, value in environment.items() if name in CREDENTIALS}
    return client("s3", cloud, **credentials)


def test_a_project_goes_all_the_way_with_the_roles_of_the_template(
    guarded: LocalCloud, index: Index
) -> None:
    index.upload(wheel("sampleproject", "1.0"))
    index.upload(wheel("sampleproject", "2.0"))
    assert advance(guarded) == {"sampleproject": "updated"}
    index.remove_release("sampleproject", "1.0")
    summary = guarded.invoke("PlannerFunction", {"dry_run": True, "force_check": True})
    assert set(summary["plan"]["updated"]) == {"sampleproject"}
    assert advance(guarded) == {"sampleproject": "updated"}
    index.remove_project("sampleproject")
    assert advance(guarded) == {"sampleproject": "removed"}

    # What the finalizer complains of, it was not allowed to do.
    fields = [line.fields for line in guarded.logs.lines if line.fields is not None]
    messages = [line["message"] for line in fields if line.get("level") in {"WARNING", "ERROR"}]
    assert set(messages) == {"a dead letter is not a job"}
    assert guarded.logs.total("EventsLost") == 0
    listed = s3_of("FinalizerFunction", guarded).list_objects_v2(
        Bucket=guarded.bucket, Prefix=f"state/runs/{OLD_RUN}"
    )
    assert listed["KeyCount"] == 0


def test_the_roles_are_enforced(guarded: LocalCloud) -> None:
    s3 = s3_of("PlannerFunction", guarded)
    s3.put_object(Bucket=guarded.bucket, Key="state/lagging.json", Body=b"{}")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=guarded.bucket, Key="web/simple/six/index.html", Body=b"")
