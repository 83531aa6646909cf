"""What the template does in an account, as far as AWS's documentation says it."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from frumious.config import loading
from frumious.model import layout
from localcloud.environment import CHECKOUT
from localcloud.stack_reader import StackReader
from localcloud.template import read_template

SMALLEST_QUOTA = 10  # concurrent executions of an account ("Lambda quotas")


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return read_template(CHECKOUT / "template.yaml")


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = template["Resources"]
    return resources


def test_only_tombstones_expire(resources: dict[str, Any]) -> None:
    rules = resources["MirrorBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule.get("Prefix", "") for rule in rules if "ExpirationInDays" in rule}
    kept = (
        layout.RUNS,
        layout.INBOX,
        layout.CURSOR,
        layout.LAGGING,
        layout.LOSSES,
        layout.DELETIONS,
        "state/removed/",
        "web/simple/",
    )
    for prefix in expiring:
        assert not [key for key in kept if key.startswith(prefix) or prefix.startswith(key)]
    assert expiring == {"state/tombstones/"}


def test_old_versions_expire_soon(resources: dict[str, Any]) -> None:
    bucket = resources["MirrorBucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    days = {
        rule.get("Prefix", ""): rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "NoncurrentVersionExpiration" in rule
    }
    assert days == {"web/": 1, "": 7}


def test_workers_may_continue_their_own_jobs(resources: dict[str, Any]) -> None:
    worker = resources["WorkerFunction"]["Properties"]
    assert worker["RecursiveLoop"] == "Allow"


def test_the_defaults_fit_the_smallest_concurrency_quota(template: dict[str, Any]) -> None:
    parameters = template["Parameters"]
    assert parameters["SingleWriter"]["Default"] == "false"  # nothing is reserved
    for function in ("PlannerFunction", "FinalizerFunction"):
        reserved = template["Resources"][function]["Properties"]["ReservedConcurrentExecutions"]
        assert reserved == {"Fn::If": ["IsSingleWriter", 1, {"Ref": "AWS::NoValue"}]}
    assert parameters["WorkerConcurrency"]["Default"] + 2 <= SMALLEST_QUOTA


def test_only_the_deployment_that_creates_the_bucket_deletes_it(resources: dict[str, Any]) -> None:
    bucket = resources["MirrorBucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"


def test_the_finalizer_may_write_the_configured_diff_file() -> None:
    stack = StackReader(CHECKOUT / "template.yaml", "http://aws.test", {})
    finalizer = stack.stack().functions["FinalizerFunction"]
    config = loading.load(CHECKOUT / "mirror.conf", finalizer.environment)
    role = stack.resolver.resolve(stack.resources["FinalizerRole"]["Properties"])
    statements = role["Policies"][0]["PolicyDocument"]["Statement"]
    writable = [s["Resource"] for s in statements if "s3:PutObject" in s["Action"]]
    assert f"arn:aws:s3:::{config.bucket}/{config.diff_file}*" in writable[0]
    assert finalizer.environment["FRUMIOUS_DIFF_FILE"] == config.diff_file


def test_the_console_groups_all_parameters(template: dict[str, Any]) -> None:
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [parameter for group in groups for parameter in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])


def test_documents_name_only_outputs_and_parameters_that_exist(template: dict[str, Any]) -> None:
    text = "".join(
        (CHECKOUT / name).read_text()
        for name in ("README.md", "docs/operations.md", "docs/cost.md", "docs/security.md")
    )
    known = {*template["Parameters"], *template["Outputs"]}
    named = re.findall(r"`([A-Z]+[a-z][A-Za-z]*)=|\$\(output ([A-Za-z]+)\)", text)
    assert {name for names in named for name in names if name} - known == set()


def test_one_key_encrypts_everything_and_the_roles_may_use_it() -> None:
    key = f"arn:aws:kms:us-east-1:123456789012:key/{uuid.uuid4()}"
    reader = StackReader(
        CHECKOUT / "template.yaml",
        "http://aws.test",
        {"KmsKeyArn": key, "AlarmEmail": "ops@mirror.example"},
    )
    properties = {
        id_: reader.resolver.resolve(resource.get("Properties", {}))
        for id_, resource in reader.resources.items()
    }
    (rule,) = properties["MirrorBucket"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        "BucketKeyEnabled": True,
    }
    for id_ in ("JobQueue", "DeadLetterQueue", "AlarmTopic"):
        assert properties[id_]["KmsMasterKeyId"] == key
        assert "SqsManagedSseEnabled" not in properties[id_]
    (statement,) = properties["KeyPolicy"]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == key
    assert len(properties["KeyPolicy"]["Roles"]) == 4


def test_all_roles_have_the_permissions_boundary(resources: dict[str, Any]) -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    everything = {"VerifyAttestations": "true"}
    for parameters in (everything, everything | {"PermissionsBoundaryArn": boundary}):
        reader = StackReader(CHECKOUT / "template.yaml", "http://aws.test", parameters)
        roles = [
            reader.resolver.resolve(resource["Properties"])
            for resource in resources.values()
            if resource["Type"] == "AWS::IAM::Role"
        ]
        assert {role.get("PermissionsBoundary") for role in roles} == {
            parameters.get("PermissionsBoundaryArn")
        }
