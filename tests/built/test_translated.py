"""The CloudFormation template that SAM makes of ours, with all that it adds."""

from __future__ import annotations

import copy
import io
import json
import re
import subprocess
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from localcloud.template import NO_VALUE, Resolver

from .conftest import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Build

# The environment of the tests does not have SAM.
TRANSLATE = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

with open(sys.argv[1]) as file:
    template = yaml_parse(file)
for resource in template["Resources"].values():  # `sam deploy` uploads it
    for uri in resource.get("Properties", {}).keys() & {"CodeUri", "ContentUri"}:
        resource["Properties"][uri] = "s3://bucket/key"
print(json.dumps(Translator({}, Parser()).translate(template, {})))
"""


# Where a resource has a name, and how long it may be ("Resource and property types" in the
# CloudFormation template reference). CloudFront's have to be unique in the account, the others in
# the account and the region. A layer's name is none of them: stacks may share it.
NAMES: dict[str, tuple[str, int] | None] = {
    "AWS::Budgets::Budget": ("Budget.BudgetName", 100),
    "AWS::CloudFront::CachePolicy": ("CachePolicyConfig.Name", 128),
    "AWS::CloudFront::Distribution": None,
    "AWS::CloudFront::Function": ("Name", 64),
    "AWS::CloudFront::KeyValueStore": ("Name", 64),
    "AWS::CloudFront::OriginAccessControl": ("OriginAccessControlConfig.Name", 64),
    "AWS::CloudFront::ResponseHeadersPolicy": ("ResponseHeadersPolicyConfig.Name", 128),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::Lambda::EventInvokeConfig": None,
    "AWS::Lambda::EventSourceMapping": None,
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::Lambda::LayerVersion": None,
    "AWS::Logs::Delivery": None,
    "AWS::Logs::DeliveryDestination": ("Name", 60),
    "AWS::Logs::DeliverySource": ("Name", 60),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::Route53::RecordSet": None,
    "AWS::S3::Bucket": ("BucketName", 63),
    "AWS::S3::BucketPolicy": None,
    "AWS::SNS::Topic": ("TopicName", 256),
    "AWS::SNS::TopicPolicy": None,
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::Scheduler::Schedule": ("Name", 64),
    "AWS::Scheduler::ScheduleGroup": ("Name", 64),
}
LONGEST_COMMENT = 128
LONGEST_STACK_NAME = "a" * 128


MOTO_CREATES = {
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
}


@pytest.fixture(scope="module")
def resources(translated: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = translated["Resources"]
    return resources


@pytest.fixture(scope="module")
def translated(build: Build) -> dict[str, Any]:
    output = subprocess.run(
        [CHECKOUT / ".venv-sam/bin/python", "-c", TRANSLATE, build.template],
        env={"AWS_DEFAULT_REGION": "us-east-1"},
        check=True,
        capture_output=True,
        text=True,
    )
    template: dict[str, Any] = json.loads(output.stdout)
    return template


def referenced(value: Any) -> Iterator[str]:
    """Yield what a value refers to."""
    if isinstance(value, list):
        for item in value:
            yield from referenced(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.partition(".")[0]
            elif key == "Fn::Sub" and isinstance(item, str):
                yield from re.findall(r"\$\{([A-Za-z0-9]+)", item)
            elif key == "DependsOn":
                yield from [item] if isinstance(item, str) else item
            else:
                yield from referenced(item)


def test_nothing_writes_to_the_bucket_while_a_creation_may_fail(resources: dict[str, Any]) -> None:
    """Otherwise a failed deployment could not delete the bucket.

    The topic and the roles' optional policies wait for nothing that takes longer than a role, so
    that their creation fails minutes before the schedules exist.
    """
    kinds = ("AWS::Scheduler::Schedule", "AWS::CloudWatch::", "AWS::SNS::", "AWS::IAM::Policy")
    schedules, alarms, topics, policies = (
        {id_ for id_, resource in resources.items() if resource["Type"].startswith(kind)}
        for kind in kinds
    )
    schedules.discard("ScheduleGroup")
    assert not {*referenced(resources["AlarmTopic"])} & resources.keys()
    for schedule in schedules:
        created, pending = set[str](), [schedule]
        while pending:
            id_ = pending.pop()
            if id_ in resources and id_ not in created:
                created.add(id_)
                pending += referenced(resources[id_])
        assert created | schedules | alarms | topics | policies == resources.keys()


def test_sam_passes_on_that_workers_may_continue_their_own_jobs(resources: dict[str, Any]) -> None:
    assert resources["WorkerFunction"]["Properties"]["RecursiveLoop"] == "Allow"


def test_the_verifier_may_write_logs_alone_and_only_workers_may_invoke_it(
    resources: dict[str, Any],
) -> None:
    def statements(id_: str) -> list[dict[str, Any]]:
        properties = resources[id_]["Properties"]
        documents = properties.get("Policies", [properties])
        return [each for one in documents for each in one["PolicyDocument"]["Statement"]]

    verifier = {id_ for id_ in resources if resources[id_].get("Condition") == "HasVerifier"}
    assert verifier >= {"VerifierFunction", "VerifierRole", "VerifierLogs", "AttestationsPolicy"}
    assert [each["Action"] for each in statements("VerifierRole")] == [
        ["logs:CreateLogStream", "logs:PutLogEvents"]
    ]
    assert resources["AttestationsPolicy"]["Properties"]["Roles"] == [{"Ref": "WorkerRole"}]
    kinds = {"AWS::IAM::Role", "AWS::IAM::Policy"}
    invoking = {
        id_: each["Resource"]
        for id_ in resources
        if resources[id_]["Type"] in kinds
        for each in statements(id_)
        if "lambda:InvokeFunction" in each["Action"] and id_ != "SchedulerRole"
    }
    assert invoking == {"AttestationsPolicy": {"Fn::GetAtt": ["VerifierFunction", "Arn"]}}


def test_the_functions_have_their_layers_alone(resources: dict[str, Any]) -> None:
    layers = {
        id_: len(resource["Properties"]["Layers"])
        for id_, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    assert layers.pop("VerifierFunction") == 2
    assert {*layers.values()} == {1}


def stack(name: str) -> Resolver:
    """Return what resolves the values of a stack with this name."""
    return Resolver(
        references={
            "AWS::AccountId": "123456789012",
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": "ap-southeast-1",
            "AWS::StackId": f"arn:aws:cloudformation:ap-southeast-1:1:stack/{name}/{uuid.uuid4()}",
            "AWS::StackName": name,
        },
        attributes={},
        mappings={},
        conditions={},
    )


def names(resources: dict[str, Any], resolver: Resolver) -> list[tuple[str, str]]:
    """Return the names that a stack gives to its resources, each with the resource's type."""
    found: list[tuple[str, str]] = []
    for resource in resources.values():
        if (rule := NAMES[resource["Type"]]) is None:
            continue
        path, longest = rule
        value = resource.get("Properties", {})
        for key in path.split("."):
            value = value.get(key)
            if value is None:
                break
        else:
            name = resolver.resolve(value)
            assert re.fullmatch(rf"[A-Za-z0-9_-]{{1,{longest}}}", name), name
            found.append((resource["Type"], name))
    return found


def test_two_stacks_in_one_account_give_no_name_twice(resources: dict[str, Any]) -> None:
    given = [
        *names(resources, stack("mirror")),
        *names(resources, stack(LONGEST_STACK_NAME)),
        *names(resources, stack(LONGEST_STACK_NAME)),  # in another region
    ]
    assert len(given) == len({*given}) == 30


@pytest.mark.timeout(300)
def test_each_choice_of_access_parameters_is_a_valid_template(
    translated: dict[str, Any], tmp_path: Path
) -> None:
    """cfn-lint follows each condition both ways, and takes defaults for the parameters' values."""
    arn = "arn:aws:{}:us-east-1:123456789012:{}"
    every = {
        "DomainName": "pypi.example.com",
        "CertificateArn": arn.format("acm", "certificate/12345678-aaaa"),
        "HostedZoneId": "Z0123456789ABC",
        "WebAclArn": arn.format("wafv2", "global/webacl/mirror/12345678-aaaa"),
        "AccessLogs": "true",
        "AccessTokens": "true",
        "Snapshots": "true",
        "VerifyAttestations": "true",
        "AllowedIps": "192.0.2.0/24, ::1",
    }
    paths = []
    for number, choice in enumerate([dict[str, str](), every]):
        template = copy.deepcopy(translated)
        for name, value in choice.items():
            template["Parameters"][name]["Default"] = value
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(template))
    linted = subprocess.run(
        [CHECKOUT / ".venv-sam/bin/cfn-lint", *paths],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout


def test_a_stack_may_have_the_longest_name(resources: dict[str, Any]) -> None:
    resolver = stack(LONGEST_STACK_NAME)
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    assert len(resolver.resolve(distribution["Comment"])) <= LONGEST_COMMENT


def test_a_deleted_stack_leaves_buckets_alone(resources: dict[str, Any]) -> None:
    """`make smoke` and the runbook delete these."""
    kept = {
        resource["Type"]
        for resource in resources.values()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert kept == {"AWS::S3::Bucket"}


def test_two_stacks_deploy_side_by_side(translated: dict[str, Any]) -> None:
    """As far as moto creates their resources; for the others, see the test of the names."""
    template = only_what_moto_creates(translated)
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="bucket")
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", "")
        s3.put_object(Bucket="bucket", Key="key", Body=code.getvalue())
        cloudformation = boto3.client("cloudformation", region_name="us-east-1")
        for name in ("one", "two"):
            cloudformation.create_stack(
                StackName=name,
                TemplateBody=json.dumps(template),
                Capabilities=["CAPABILITY_IAM"],
            )
        stacks = cloudformation.describe_stacks()["Stacks"]
        assert [stack["StackStatus"] for stack in stacks] == ["CREATE_COMPLETE"] * 2
        created = [
            resource.get("PhysicalResourceId")
            for stack in ("one", "two")
            for resource in cloudformation.describe_stack_resources(StackName=stack)[
                "StackResources"
            ]
        ]
    assert len(created) == 2 * len(template["Resources"])
    named = [name for name in created if name is not None]  # moto names no event source
    assert len({*named}) == len(named) > len(template["Resources"])


def only_what_moto_creates(translated: dict[str, Any]) -> dict[str, Any]:
    """Return the template without what moto's CloudFormation cannot create."""
    resources = {
        id_: copy.deepcopy(resource)
        for id_, resource in translated["Resources"].items()
        if resource["Type"] in MOTO_CREATES
    }
    for id_, resource in resources.items():
        if resource["Properties"].get("FifoQueue"):
            # CloudFormation ends the names that it gives with ".fifo" where it has to; moto fails.
            resource["Properties"]["QueueName"] = {"Fn::Sub": f"${{AWS::StackName}}-{id_}.fifo"}
    outputs = {
        name: output
        for name, output in translated["Outputs"].items()
        if {*referenced(output)} <= resources.keys()
    }
    return {**translated, "Resources": resources, "Outputs": outputs}
