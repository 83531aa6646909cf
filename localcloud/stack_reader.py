"""Parser of the template into a `Stack`.

Every property of a simulated resource is either parsed or listed in `Stack.not_simulated`. Any
other property, resource or event is a `TemplateError`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from localcloud.alarms import read_alarm
from localcloud.distribution_reader import DistributionReader
from localcloud.section import Section
from localcloud.stack import (
    ACCOUNT,
    KEY_VALUE_STORE_ARN,
    REGION,
    STACK_NAME,
    Function,
    Queue,
    QueueSource,
    Schedule,
    Stack,
)
from localcloud.template import NO_VALUE, Resolver, TemplateError, read_template

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUCKET = "AWS::S3::Bucket"
QUEUE = "AWS::SQS::Queue"
FUNCTION = "AWS::Serverless::Function"
DISTRIBUTION = "AWS::CloudFront::Distribution"
EDGE_FUNCTION = "AWS::CloudFront::Function"
HEADERS_POLICY = "AWS::CloudFront::ResponseHeadersPolicy"
KEY_VALUE_STORE = "AWS::CloudFront::KeyValueStore"
CACHE_POLICY = "AWS::CloudFront::CachePolicy"
ALARM = "AWS::CloudWatch::Alarm"
ROLE = "AWS::IAM::Role"
SIMULATED = {BUCKET, QUEUE, FUNCTION, DISTRIBUTION, EDGE_FUNCTION, HEADERS_POLICY}
SIMULATED |= {KEY_VALUE_STORE, CACHE_POLICY, ALARM}

# Resources that are referenced by their logical ids, with the attributes that `GetAtt` supports.
STAND_INS: dict[str, tuple[str, ...]] = {
    DISTRIBUTION: ("DomainName",),
    EDGE_FUNCTION: ("FunctionARN",),
    HEADERS_POLICY: (),
    CACHE_POLICY: (),
    "AWS::CloudFront::OriginAccessControl": ("Id",),
    ALARM: ("Arn",),
    ROLE: ("Arn",),
    "AWS::CloudWatch::Dashboard": (),
    "AWS::IAM::Policy": (),
    "AWS::Logs::Delivery": (),
    "AWS::Logs::DeliveryDestination": ("Arn",),
    "AWS::Logs::DeliverySource": ("Arn",),
    "AWS::Logs::LogGroup": ("Arn",),
    "AWS::Route53::RecordSet": (),
    "AWS::S3::BucketPolicy": (),
    "AWS::Budgets::Budget": (),
    "AWS::SNS::Topic": (),
    "AWS::SNS::TopicPolicy": (),
    "AWS::Scheduler::ScheduleGroup": (),
    "AWS::Serverless::LayerVersion": (),  # replaced by the runtime's Python path
}


def read_stack(path: Path, *, endpoint: str, parameters: Mapping[str, str]) -> Stack:
    """Parse the template at `path` for an AWS at `endpoint`; `parameters` override defaults."""
    return StackReader(path, endpoint, parameters).stack()


class StackReader:
    """Parses one template."""

    def __init__(self, path: Path, endpoint: str, parameters: Mapping[str, str]) -> None:
        self.root = path.resolve().parent
        self.endpoint = endpoint
        self.skipped: list[str] = []
        self.template = read_template(path)
        references: dict[str, Any] = {
            **_parameter_values(self.template.get("Parameters", {}), parameters),
            **_PSEUDO_PARAMETERS,
        }
        attributes: dict[tuple[str, str], str] = {}
        self.resolver = Resolver(
            references=references,
            attributes=attributes,
            mappings=self.template.get("Mappings", {}),
            conditions=self.template.get("Conditions", {}),
        )
        self.resources: dict[str, Any] = {
            logical_id: resource
            for logical_id, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.resolver.condition(resource["Condition"])
        }
        self._check_sections()
        for logical_id, resource in self.resources.items():
            reference, its_attributes = self._identity(logical_id, resource["Type"])
            references[logical_id] = reference
            attributes |= {(logical_id, name): value for name, value in its_attributes.items()}

    def stack(self) -> Stack:
        reader = DistributionReader(self._properties)
        distributions = [reader.read(id_) for id_ in self._ids(DISTRIBUTION)]
        if len(distributions) != 1:
            msg = f"the local stack supports one distribution, not {len(distributions)}"
            raise TemplateError(msg)
        buckets = [self._bucket(id_) for id_ in self._ids(BUCKET)]
        if distributions[0].bucket not in buckets:
            msg = f"the distribution serves {distributions[0].bucket!r}, not a bucket of the stack"
            raise TemplateError(msg)
        functions: dict[str, Function] = {}
        schedules: list[Schedule] = []
        sources: list[QueueSource] = []
        for id_ in self._ids(FUNCTION):
            functions[id_], events = self._function(id_)
            for event in events:
                (schedules if isinstance(event, Schedule) else sources).append(event)  # type: ignore[arg-type]
        return Stack(
            bucket=distributions[0].bucket,
            queues={id_: self._queue(id_) for id_ in self._ids(QUEUE)},
            functions=functions,
            schedules=tuple(schedules),
            queue_sources=tuple(sources),
            distribution=distributions[0],
            alarms={id_: read_alarm(self._properties(id_)) for id_ in self._ids(ALARM)},
            not_simulated=tuple(self.skipped),
        )

    def _check_sections(self) -> None:
        top = Section("the template", self.template, self.skipped)
        top.ignore("AWSTemplateFormatVersion", "Description", "Transform", "Outputs", "Metadata")
        top.ignore("Parameters", "Rules", "Mappings", "Conditions", "Globals", "Resources")
        top.finish()
        functions = Section("Globals", self.template.get("Globals", {}), self.skipped)
        functions.ignore("Function")
        functions.finish()
        for logical_id, resource in self.resources.items():
            section = Section(logical_id, resource, self.skipped)
            section.ignore("Type", "Properties", "Metadata", "DependsOn", "Condition")
            section.skip("DeletionPolicy", "UpdateReplacePolicy")
            section.finish()
            if resource["Type"] not in SIMULATED:
                self.skipped.append(f"{logical_id} ({resource['Type']})")

    def _identity(self, logical_id: str, kind: str) -> tuple[str, dict[str, str]]:
        """Return the values of `Ref` and `GetAtt` for a resource."""
        name = f"{STACK_NAME}-{logical_id}".lower()
        reference = logical_id
        attributes: dict[str, str] = {}
        if kind == BUCKET:
            reference = name
            attributes["Arn"] = f"arn:aws:s3:::{name}"
            attributes["RegionalDomainName"] = f"{name}.s3.{REGION}.amazonaws.com"
        elif kind == QUEUE:
            name += ".fifo" if self.resources[logical_id]["Properties"].get("FifoQueue") else ""
            reference = f"{self.endpoint}/{ACCOUNT}/{name}"
            attributes["Arn"] = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
            attributes["QueueName"] = name
        elif kind == FUNCTION:
            reference = name
            attributes["Arn"] = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        elif kind == KEY_VALUE_STORE:
            attributes["Arn"] = KEY_VALUE_STORE_ARN
        elif kind in STAND_INS:
            arn = f"arn:aws:local:{REGION}:{ACCOUNT}:{logical_id}"
            attributes = {name: arn if name == "Arn" else logical_id for name in STAND_INS[kind]}
        else:
            msg = f"the local stack does not support the resource {logical_id} ({kind})"
            raise TemplateError(msg)
        return reference, attributes

    def _ids(self, kind: str) -> list[str]:
        return [id_ for id_, resource in self.resources.items() if resource["Type"] == kind]

    def _properties(self, logical_id: str) -> Section:
        properties = self.resolver.resolve(self.resources[logical_id].get("Properties", {}))
        return Section(logical_id, properties, self.skipped)

    def _bucket(self, logical_id: str) -> str:
        properties = self._properties(logical_id)
        properties.skip(
            "BucketEncryption",
            "LifecycleConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "VersioningConfiguration",
        )
        properties.finish()
        return str(self.resolver.references[logical_id])

    def _queue(self, logical_id: str) -> Queue:
        properties = self._properties(logical_id)
        attributes = {
            name: _attribute_text(value)
            for name in (
                "DeduplicationScope",
                "DelaySeconds",
                "FifoQueue",
                "FifoThroughputLimit",
                "KmsMasterKeyId",
                "MessageRetentionPeriod",
                "ReceiveMessageWaitTimeSeconds",
                "RedrivePolicy",
                "SqsManagedSseEnabled",
                "VisibilityTimeout",
            )
            if (value := properties.take(name)) is not None
        }
        properties.finish()
        identity = self.resolver.attributes
        return Queue(
            name=identity[logical_id, "QueueName"],
            url=str(self.resolver.references[logical_id]),
            arn=identity[logical_id, "Arn"],
            attributes=attributes,
        )

    def _function(self, logical_id: str) -> tuple[Function, list[Schedule | QueueSource]]:
        shared = self.template.get("Globals", {}).get("Function", {})
        own = self.resources[logical_id]["Properties"]
        properties = Section(logical_id, self.resolver.resolve(_merge(shared, own)), self.skipped)
        properties.ignore("Description", "CodeUri")
        # Layers are replaced by the runtime's Python path. Only the queue invokes a function
        # concurrently, and its event source has its own limit.
        properties.skip("Role", "Layers", "Runtime", "Architectures", "LoggingConfig")
        properties.skip("EventInvokeConfig", "RecursiveLoop", "ReservedConcurrentExecutions")
        environment = properties.section("Environment", default={})
        variables = environment.take("Variables", {})
        environment.finish()
        events = [
            self._event(logical_id, properties.of(name, event))
            for name, event in properties.take("Events", {}).items()
        ]
        function = Function(
            id=logical_id,
            name=str(self.resolver.references[logical_id]),
            arn=self.resolver.attributes[logical_id, "Arn"],
            handler=properties.require("Handler"),
            code=self.root / own["CodeUri"],
            timeout=int(properties.take("Timeout", 3)),
            memory=int(properties.take("MemorySize", 128)),
            environment={name: str(value) for name, value in variables.items()},
        )
        properties.finish()
        return function, events

    def _event(self, function: str, event: Section) -> Schedule | QueueSource:
        kind = event.require("Type")
        properties = event.section("Properties")
        event.finish()
        match kind:
            case "ScheduleV2":
                properties.ignore("OmitName")
                properties.skip("State")
                properties.skip("RetryPolicy")
                schedule = Schedule(
                    function=function,
                    seconds=_seconds(properties.require("ScheduleExpression")),
                    input=json.loads(properties.take("Input", "{}")),
                    group=properties.take("GroupName", "default"),
                    allowed=self._may_invoke(properties.require("RoleArn"), function),
                )
                properties.finish()
                return schedule
            case "SQS":
                reports = properties.take("FunctionResponseTypes", [])
                scaling = properties.section("ScalingConfig", default={})
                source = QueueSource(
                    function=function,
                    queue_arn=properties.require("Queue"),
                    batch_size=int(properties.take("BatchSize", 10)),
                    reports_item_failures="ReportBatchItemFailures" in reports,
                    max_concurrency=int(scaling.take("MaximumConcurrency", 1000)),
                )
                scaling.finish()
                properties.finish()
                return source
        msg = f"the local stack does not support the event {event.where} ({kind})"
        raise TemplateError(msg)

    def _may_invoke(self, role_arn: str, function: str) -> bool:
        """Return whether a role of the template allows to invoke a function."""
        arn = self.resolver.attributes[function, "Arn"]
        (role,) = (
            id_ for id_ in self._ids(ROLE) if self.resolver.attributes[id_, "Arn"] == role_arn
        )
        policies = self.resolver.resolve(self.resources[role]["Properties"]["Policies"])
        return any(
            statement["Action"] == "lambda:InvokeFunction" and arn in statement["Resource"]
            for policy in policies
            for statement in policy["PolicyDocument"]["Statement"]
        )


_STACK_UUID = "00000000-0000-0000-0000-000000000000"
_PSEUDO_PARAMETERS: dict[str, Any] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": NO_VALUE,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK_NAME}/{_STACK_UUID}",
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}


def _parameter_values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    if unknown := given.keys() - declared.keys():
        msg = f"the template has no parameter {min(unknown)!r}"
        raise TemplateError(msg)
    defaults = {name: str(p["Default"]) for name, p in declared.items() if "Default" in p}
    values = {**defaults, **given}
    if missing := declared.keys() - values.keys():
        msg = f"the template's parameter {min(missing)!r} has no default and was not given"
        raise TemplateError(msg)
    return values


def _merge(shared: Any, own: Any) -> Any:
    """Merge a global setting and a function's own like SAM."""
    if isinstance(shared, dict) and isinstance(own, dict):
        merged = {key: _merge(shared[key], own[key]) for key in shared.keys() & own.keys()}
        return {**shared, **own, **merged}
    if isinstance(shared, list) and isinstance(own, list):
        return shared + own
    return own


def _attribute_text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seconds(expression: str) -> int:
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if match is None:
        msg = f"the local stack does not support the schedule {expression!r}"
        raise TemplateError(msg)
    return int(match[1]) * {"minute": 60, "hour": 3600, "day": 86400}[match[2]]
